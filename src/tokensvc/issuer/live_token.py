"""Which of our tokens are live: by Postgres for whoever must know it now, or by this process's copy, which may be half a second old."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokensvc.core.denylist import Denylist, list_possible_denials
from tokensvc.core.errors import InvalidTokenError
from tokensvc.core.token import parse_unverified
from tokensvc.issuer.own_token import check_own_token
from tokensvc.store.denylist import list_named

if TYPE_CHECKING:
    from tokensvc.core.claims import Claims
    from tokensvc.core.denylist import DenylistRow, Revocation
    from tokensvc.core.identifier import Kid
    from tokensvc.core.keyring import SigningKeyRecord
    from tokensvc.issuer.mirror import Mirror
    from tokensvc.store.pool import Connection, Database


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTokens:
    """Judges tokens of ours, whatever they are for."""

    database: Database
    mirror: Mirror
    issuer: str

    async def check(self, text: str) -> Claims:
        """Return the claims of a live token. Raises InvalidTokenError, UnavailableError.

        Whatever ends a token before its time (its own end, that of its key, account or signing key) is an entry of the denylist, committed
        together with it; so the denylist is all that is asked.
        """
        claims, kid = await self._check_own(text)
        async with self.database.connection() as connection:
            denying = await find_denying(connection, claims, kid)
        if denying is not None:
            raise _denied(denying.revocation)
        return claims

    async def check_by_copy(self, text: str) -> Claims:
        """As `check`, without asking Postgres."""
        claims, kid = await self._check_own(text)
        denial = self.mirror.log.denylist.find_denial(claims, kid)
        if denial is not None:
            raise _denied(denial)
        return claims

    async def find_signers(self, kid: Kid) -> tuple[SigningKeyRecord, ...]:
        """Return all signing keys; they are read again first if the one that is looked for is not among them. Raises UnavailableError."""
        if all(record.kid != kid for record in self.mirror.records):
            await self.mirror.refresh_for_a_miss()  # it may be a moment old
        return self.mirror.records

    async def _check_own(self, text: str) -> tuple[Claims, Kid]:
        unverified_token = parse_unverified(text)
        records = await self.find_signers(unverified_token.kid)
        return check_own_token(
            unverified_token, records, self.issuer, self.mirror.now.timestamp()
        ), unverified_token.kid


async def find_denying(connection: Connection, claims: Claims, kid: Kid) -> DenylistRow | None:
    """Return the oldest entry that covers the token, None if there is none."""
    for row in await list_named(connection, list_possible_denials(claims, kid)):
        alone = Denylist()
        alone.add([row.revocation])
        if alone.find_denial(claims, kid) is not None:
            return row
    return None


def _denied(denial: Revocation) -> InvalidTokenError:
    return InvalidTokenError(f"revoked_{denial.kind}")
