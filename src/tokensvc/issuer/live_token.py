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
    from tokensvc.core.identifier import Kid
    from tokensvc.issuer.mirror import Mirror
    from tokensvc.store.pool import Database


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
            rows = await list_named(connection, list_possible_denials(claims, kid))
        denylist = Denylist()
        denylist.add(row.revocation for row in rows)
        return _check_denied(denylist, claims, kid)

    async def check_by_copy(self, text: str) -> Claims:
        """As `check`, without asking Postgres."""
        return _check_denied(self.mirror.log.denylist, *await self._check_own(text))

    async def _check_own(self, text: str) -> tuple[Claims, Kid]:
        kid = parse_unverified(text).kid
        if all(record.kid != kid for record in self.mirror.records):
            await self.mirror.refresh_for_a_miss()  # its signing key may be a moment old
        return check_own_token(text, self.mirror.records, self.issuer, self.mirror.now.timestamp()), kid


def _check_denied(denylist: Denylist, claims: Claims, kid: Kid) -> Claims:
    denial = denylist.find_denial(claims, kid)
    if denial is not None:
        raise InvalidTokenError(f"revoked_{denial.kind}")
    return claims
