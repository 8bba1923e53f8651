"""Introspection: is a token of ours live (RFC 7662)?

Postgres decides it for whoever must know it now. This process's copy, which may be half a second
old, decides it for crowds. `describe_token` tells people what the database knows of a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from tokensvc.core.algorithm import ALGORITHMS
from tokensvc.core.denylist.lookup import Denylist, list_revocable
from tokensvc.core.errors import InvalidTokenError
from tokensvc.core.token import parse_unverified
from tokensvc.core.verification import check_own_token, check_token, find_public_key
from tokensvc.store.denylist import find_ended, list_named
from tokensvc.store.feed_head import list_heads
from tokensvc.store.signing_key import list_signing_keys

if TYPE_CHECKING:
    from tokensvc.core.claims import Claims
    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.core.denylist.revocation import Kind
    from tokensvc.core.identifier import Kid
    from tokensvc.core.keyring import SigningKeyRecord
    from tokensvc.issuer.connection_share import ConnectionShare
    from tokensvc.issuer.mirror.mirror import Mirror
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection, Database

TokenState = Literal["live", "expired", "revoked", "foreign", "invalid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Introspection:
    """Judges tokens of ours, whatever audience they are for."""

    database: Database
    mirror: Mirror
    share: ConnectionShare
    issuer: str

    async def check(self, text: str) -> Claims:
        """Return the claims of a live token. Raises InvalidTokenError, UnavailableError.

        Whatever ends a token before its time (its own end, that of its key, account or signing
        key) is a revocation, committed together with it. The rows of the key and the account are
        asked too, in the same statement: they say so even if the denylist has lost it.
        """
        claims, kid = await self._verify(text)
        async with self.share.use(), self.database.connection() as connection:
            ended = await _find_ended(connection, claims, kid)
        if ended is not None:
            raise InvalidTokenError(f"revoked_{ended}")
        return claims

    async def check_by_copy(self, text: str) -> Claims:
        """As `check`, without asking Postgres."""
        claims, kid = await self._verify(text)
        revocation = self.mirror.denylist.log.denylist.find_revocation(claims, kid)
        if revocation is not None:
            raise InvalidTokenError(f"revoked_{revocation.kind}")
        return claims

    async def find_signing_keys(self, kid: Kid) -> tuple[SigningKeyRecord, ...]:
        """Return all signing keys; they are read again first if `kid` is not among them.

        Raises UnavailableError.
        """
        signers = self.mirror.signers
        if all(record.kid != kid for record in signers.records):
            await self.mirror.refresh_for_a_miss()  # the key may be a moment old
        return signers.records

    async def _verify(self, text: str) -> tuple[Claims, Kid]:
        unverified_token = parse_unverified(text)
        claims = check_own_token(
            unverified_token,
            await self.find_signing_keys(unverified_token.kid),
            issuer=self.issuer,
            now=self.mirror.confirmation.steady_now.timestamp(),
        )
        return claims, unverified_token.kid


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """What the database knows of a token.

    `reason` says more of "invalid". `revoked_by` is the record behind "revoked", if there still is
    one.
    """

    state: TokenState
    reason: str = ""
    revoked_by: RevocationRecord | None = None


async def describe_token(database: Database, settings: Settings, text: str) -> TokenStatus:
    """Return the status of a token.

    Raises InvalidTokenError for a text that has not even the form of a token, UnavailableError.
    """
    unverified_token = parse_unverified(text)
    async with database.connection() as connection:
        signing_keys = await list_signing_keys(connection)
        key_record = next((r for r in signing_keys if r.kid == unverified_token.kid), None)
        if key_record is None:
            return TokenStatus("foreign")
        _, now = await list_heads(connection)
        try:
            claims = check_token(
                unverified_token,
                key=find_public_key(key_record),
                algorithms=ALGORITHMS,
                issuer=settings.issuer_url,
                audience=None,
                now=now.timestamp(),
                leeway=0,
            )
        except InvalidTokenError as error:
            if error.reason == "expired":
                return TokenStatus("expired")
            return TokenStatus("invalid", error.reason)
        found = await find_revocation(connection, claims, key_record.kid)
        ended = await _find_ended(connection, claims, key_record.kid)
    if found is not None or ended is not None or key_record.revoked_at is not None:
        return TokenStatus("revoked", revoked_by=found)
    return TokenStatus("live")


async def find_revocation(
    connection: Connection, claims: Claims, kid: Kid
) -> RevocationRecord | None:
    """Return the oldest record that covers the token, None if there is none."""
    for record in await list_named(connection, list_revocable(claims, kid)):
        alone = Denylist()
        alone.add([record.revocation])
        if alone.find_revocation(claims, kid) is not None:
            return record
    return None


async def _find_ended(connection: Connection, claims: Claims, kid: Kid) -> Kind | None:
    """Return what has ended of all that the token needs to live, None if nothing has."""
    return await find_ended(
        connection,
        list_revocable(claims, kid),
        key_id=claims.client_id,
        account_id=claims.sub,
        issued_at=datetime.fromtimestamp(claims.iat, UTC),
    )
