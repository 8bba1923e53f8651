"""The same act on many API keys, each with an outcome of its own.

Keys are taken in chunks. A chunk is one statement, or one short transaction, so that exchanges of
its keys wait only for a moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.admin.chunk_size import ChunkSize
from tokensvc.issuer.admin.granting import load_grant
from tokensvc.issuer.admin.key_chunks import (
    OF_ONE_KEY,
    BatchCaller,
    Enabling,
    KeyChange,
    KeyOutcome,
    Updating,
    change_chunk,
    list_seen,
)
from tokensvc.issuer.revoking.endings import refuse_disabling
from tokensvc.store.key_endings import end_api_keys
from tokensvc.store.not_found import no_such_key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from tokensvc.core.denylist.record import Ending, RevocationRecord
    from tokensvc.issuer.admin.api_keys import KeyChanges
    from tokensvc.store.pool import Database

    Outcomes = dict[str, KeyOutcome]

_MOST_FAILURES: Final = 3


async def end_keys(
    database: Database,
    ending: Ending,
    key_ids: Sequence[str],
    *,
    caller: BatchCaller,
    reason: str,
    remember: Callable[[Sequence[RevocationRecord]], None],
) -> Outcomes:
    """Disable or revoke keys. `remember` is told of each revocation that is acknowledged."""

    async def act(chunk: Sequence[str]) -> Outcomes:
        async with database.connection() as connection:
            await load_grant(connection, caller.grantor)
            seen = await list_seen(connection, chunk, caller)
        # What is not seen looks as if it did not exist, and so does what is deleted meanwhile.
        outcomes = {key_id: KeyOutcome(None, no_such_key(key_id)) for key_id in chunk}
        if not seen:
            return outcomes
        async with database.act() as connection:
            ended = await end_api_keys(
                connection, ending, key_ids=seen, actor=caller.actor, detail={"reason": reason}
            )
        remember([record for one in ended for record in one.records])
        for key_id, one in zip(seen, ended, strict=True):
            if one.outcome == "refused":
                outcomes[key_id] = KeyOutcome(one.listed, refuse_disabling(key_id))
            elif one.listed is not None:
                outcomes[key_id] = KeyOutcome(one.listed, None)
        return outcomes

    return await _act_in_chunks(act, key_ids, caller)


async def enable_keys(
    database: Database, key_ids: Sequence[str], *, caller: BatchCaller
) -> Outcomes:
    """Enable keys. Their tokens from before stay revoked."""
    return await _change_keys(database, Enabling(), key_ids, caller)


async def update_keys(
    database: Database, changes: Mapping[str, KeyChanges], *, caller: BatchCaller
) -> Outcomes:
    """Change keys, each in its own way."""
    return await _change_keys(database, Updating(changes), list(changes), caller)


async def _change_keys(
    database: Database, change: KeyChange, key_ids: Sequence[str], caller: BatchCaller
) -> Outcomes:
    async def act(chunk: Sequence[str]) -> Outcomes:
        return await change_chunk(database, change, chunk, caller)

    return await _act_in_chunks(act, key_ids, caller)


async def _act_in_chunks(
    act: Callable[[Sequence[str]], Awaitable[Outcomes]],
    key_ids: Sequence[str],
    caller: BatchCaller,
) -> Outcomes:
    """Return what became of each key.

    If a chunk fails because the database is away or a row is held by somebody, its keys are tried
    one by one; after some failures the rest is given up.
    """
    own = None if caller.grantor is None else caller.grantor.key_id
    # The caller's own key comes last: it may be ended or narrowed by this very batch.
    waiting = sorted(key_ids, key=lambda key_id: (key_id == own, key_id))
    size, failures = ChunkSize(), 0
    outcomes: Outcomes = {}
    while waiting:
        chunk = waiting[: size.rows]
        try:
            with size.measure(len(chunk)):
                outcomes |= await act(chunk)
        except OF_ONE_KEY as error:
            outcomes |= {key_id: KeyOutcome(None, error) for key_id in chunk}
        except UnavailableError as error:
            if len(chunk) > 1:
                continue  # the same keys again, one by one: the size has shrunk to one
            failures += 1
            given_up = waiting if failures == _MOST_FAILURES else chunk
            outcomes |= {key_id: KeyOutcome(None, error) for key_id in given_up}
            chunk = given_up
        waiting = waiting[len(chunk) :]
    return outcomes
