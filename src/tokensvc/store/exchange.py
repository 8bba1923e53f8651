"""The authoritative question of every exchange (`sql/queries/exchange.sql`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.exchange import Verdict
from tokensvc.core.identifier import AccountId, KeyId
from tokensvc.store.queries import load_queries

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

_SQL = load_queries("exchange")


async def judge_exchange(
    connection: asyncpg.Connection, *, digest: bytes | None = None, key_id: str | None = None, jtis: Sequence[str] = ()
) -> Verdict | None:
    """Return what Postgres says of the key with this digest, or of this id if a token with these `jtis` was shown. None: unknown."""
    row = await connection.fetchrow(_SQL["judge"], digest, key_id, list(jtis))
    if row is None:
        return None
    return Verdict(
        key_id=KeyId(row["key_id"]),
        account_id=AccountId(row["account_id"]),
        capabilities=tuple(row["capabilities"]),
        refusal=row["refusal"],
        denied_up_to=row["denied_up_to"],
        at=row["at"],
    )
