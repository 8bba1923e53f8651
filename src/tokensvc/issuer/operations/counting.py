"""How many keys and other things there are, by the counts that the process keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.issuer.kept_counts import Counted
from tokensvc.operations.overview import KeyCounts, ThingCounts
from tokensvc.store.api_key import count_api_keys
from tokensvc.store.counts import count_things

if TYPE_CHECKING:
    from tokensvc.core.identifier import AccountId
    from tokensvc.issuer.operations.call import Call


async def count_keys(call: Call, account_id: AccountId | str | None) -> Counted[KeyCounts]:
    """Return how many keys an account has of each kind that an overview tells; None: all have."""

    async def count() -> Counted[KeyCounts]:
        async with call.database.connection() as connection:
            counts, at = await count_api_keys(connection, account_id)
        return Counted(KeyCounts(**counts), at, counts["total"])

    return await call.backend.counts.find(("keys", account_id), count)


async def count_all(call: Call) -> ThingCounts:
    """Return how many things there are that are not of one account."""

    async def count() -> Counted[ThingCounts]:
        async with call.database.connection() as connection:
            counts, at = await count_things(connection)
        return Counted(ThingCounts(**counts), at, sum(counts.values()))

    return (await call.backend.counts.find(("things", None), count)).value
