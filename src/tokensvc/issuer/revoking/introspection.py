"""Introspection: is a token of ours live (RFC 7662)?

Postgres decides it for those who must know it now. This process's copy, which may be half a second
old, decides it for crowds. `describe_token` tells people what the database knows of a token.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from tokensvc.core.algorithm import ALGORITHMS
from tokensvc.core.denylist.lookup import Denylist, list_revocable
from tokensvc.core.errors import InvalidTokenError
from tokensvc.core.token import parse_unverified, read_unverified
from tokensvc.core.token_checks import TokenCheck, list_checks
from tokensvc.core.verification import OWN_TOKEN, check_own_token, check_token, find_public_key
from tokensvc.logs.logger import get_logger
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

_log = get_logger(__name__)

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

        All that ends a token before its time (its own end, that of its key, account or signing
        key) is a revocation, committed together with it. The rows of the key and the account are
        asked too, in the same statement: they say so even if the denylist has lost it.
        """
        claims, kid = await self._verify(text)
        async with self.share.use(), self.database.connection() as connection:
            ended = await _find_ended(connection, claims, kid)
        if ended is not None:
            raise InvalidTokenError(f"revoked_{ended}")
        return claims

    async def find(self, text: str) -> Claims | None:
        """As `check`, but return None for everything that is no live token of ours."""
        try:
            return await self.check(text)
        except InvalidTokenError as error:
            _log.debug("introspection_of_no_live_token", reason=error.reason)
            return None

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
            now=self.mirror.postgres_clock.steady_now.timestamp(),
        )
        return claims, unverified_token.kid


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenStatus:
    """What the database knows of a token.

    `header` and `payload` are what it says. `reason` says more of "invalid". `revoked_by` is the
    record behind "revoked", if there still is one. `checks`: all those of a verifier.
    """

    header: dict[str, Any]
    payload: dict[str, Any]
    state: TokenState
    reason: str = ""
    revoked_by: RevocationRecord | None = None
    checks: tuple[TokenCheck, ...] = ()


async def describe_token(database: Database, settings: Settings, text: str) -> TokenStatus:
    """Return the status of a token.

    Raises InvalidTokenError for a text that has not even the form of a token, UnavailableError.
    """
    header, payload = read_unverified(text)
    issuer = settings.issuer_url
    async with database.connection() as connection:
        signing_keys = await list_signing_keys(connection)
        # Nothing is verified yet: the header only says which of our keys to try.
        record = next((r for r in signing_keys if r.kid == header.get("kid")), None)
        key = None if record is None else find_public_key(record)
        _, moment = await list_heads(connection)
        now = moment.timestamp()
        checks = list_checks(text, payload, key=key, issuer=issuer, now=now)
        unknown = TokenCheck("revocation", "skipped", "Only live tokens of ours are looked up.")
        status = TokenStatus(
            header=header, payload=payload, state="foreign", checks=(*checks, unknown)
        )
        if record is None:
            return status
        try:
            claims = check_token(
                parse_unverified(text),
                key=key,
                algorithms=ALGORITHMS,
                issuer=issuer,
                audiences=None,
                now=now,
                leeway=0,  # people are told what holds now, not what patient verifiers accept
                typ=OWN_TOKEN,
            )
        except InvalidTokenError as error:
            return _refuse(status, error.reason)
        is_revoked, detail, found = await _judge_life(connection, claims, record)
    last = TokenCheck("revocation", "failed" if is_revoked else "passed", detail)
    state: TokenState = "revoked" if is_revoked else "live"
    return replace(status, state=state, revoked_by=found, checks=(*checks, last))


def _refuse(status: TokenStatus, reason: str) -> TokenStatus:
    if reason == "expired":
        return replace(status, state="expired")
    return replace(status, state="invalid", reason=reason)


async def _judge_life(
    connection: Connection, claims: Claims, signer: SigningKeyRecord
) -> tuple[bool, str, RevocationRecord | None]:
    """Return whether a token of ours was ended before its time, by what, and by which record."""
    found = await find_revocation(connection, claims, signer.kid)
    # Asked in any case: the rows tell what has ended even if the denylist has lost it.
    ended = await _find_ended(connection, claims, signer.kid)
    if found is not None:
        named = f"{found.revocation.kind} {found.revocation.value}"
        return True, f"Entry {found.position.seq} of the denylist revokes it: {named}.", found
    if signer.revoked_at is not None:
        return True, "Its signing key has been revoked.", None
    if ended is not None:
        return True, f"What it needs to live has ended: {ended}.", None
    alive = "Neither it nor its key, account and signing key is on the denylist."
    return False, alive, None


async def find_revocation(
    connection: Connection, claims: Claims, kid: Kid
) -> RevocationRecord | None:
    """Return the oldest record that covers the token, None if there is none."""
    for record in await list_named(connection, list_revocable(claims, kid)):
        # What covers a token is said in one place, so each record is asked by itself.
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
