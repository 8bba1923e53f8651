"""The ledger: what decides an exchange. Each one is put to Postgres; nothing is decided from a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.apikey import ApiKey
from tokensvc.store.exchange import judge_exchange

if TYPE_CHECKING:
    from tokensvc.core.claims import Claims
    from tokensvc.core.exchange import Verdict
    from tokensvc.store.pool import Database


class Ledger:
    """Asks Postgres for verdicts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def judge(self, credential: ApiKey | Claims) -> Verdict | None:
        """Return what Postgres says of a key, or of the key behind a token; None if there is no such key. Raises UnavailableError."""
        async with self._database.connection() as connection:
            if isinstance(credential, ApiKey):
                return await judge_exchange(connection, digest=credential.digest)
            return await judge_exchange(connection, key_id=credential.client_id, jtis=[credential.jti])
