"""How long keys may live, and what becomes of keys that nobody uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.actor import Actor
from tokensvc.core.errors import ForbiddenError
from tokensvc.logs.logger import get_logger
from tokensvc.store import api_key as table
from tokensvc.store.key_endings import end_api_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta

    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.store.key_endings import EndedKey
    from tokensvc.store.pool import Database

POLICY: Final = Actor(name="policy")
_DISABLED_AT_ONCE: Final = 50  # so that their rows are locked for a moment only

_log = get_logger(__name__)


def decide_life(
    life: timedelta | None, *, is_named: bool, longest: timedelta | None
) -> timedelta | None:
    """Return how long a key will live, None without end.

    `life`: what the caller wants, if it names it. A caller with a longest life who names none gets
    that one. Raises ForbiddenError for a longer life.
    """
    if longest is None:
        return life
    if not is_named:
        return longest
    if life is None or life > longest:
        raise ForbiddenError(
            f"a key lives for {int(longest.total_seconds())} s at most; an admin can make one "
            "that lives longer",
            reason="max_key_life",
        )
    return life


async def disable_idle_keys_once(
    database: Database,
    now: datetime,
    remember: Callable[[Sequence[RevocationRecord]], None],
    *,
    idle_for: timedelta,
) -> int:
    """Disable the keys that nobody has used for `idle_for` at `now`; return how many.

    To make a key, and to enable it, counts as use. `now` is a moment that has come by all clocks:
    one that is ahead would disable keys in use. `remember` is told of the revocations. Raises
    UnavailableError, OutcomeUnknownError; then the next round goes on.
    """
    total, before = 0, now - idle_for
    detail = {"reason": f"idle for {int(idle_for.total_seconds())} s"}
    while True:
        async with database.connection() as connection:
            idle = await table.list_idle_keys(connection, before, _DISABLED_AT_ONCE)
        ended = await _disable_unused(database, idle, before, detail) if idle else []
        remember([record for key in ended for record in key.records])
        total += sum(key.outcome == "ended" for key in ended)
        # If all were used meanwhile, the next round goes on.
        if len(idle) < _DISABLED_AT_ONCE or not ended:
            break
    if total:
        _log.info("idle_keys_disabled", keys=total)
    return total


async def _disable_unused(
    database: Database, key_ids: Sequence[str], before: datetime, detail: dict[str, Any]
) -> list[EndedKey]:
    """Disable those of the keys that were not used since they were listed."""
    async with database.transaction() as connection:
        unused = await table.lock_unused_keys(connection, key_ids, before)
        if not unused:
            return []
        return await end_api_keys(
            connection, "key_disabled", key_ids=unused, actor=POLICY, detail=detail
        )
