"""Reports of leaked API keys: anybody who has found a key may have it disabled or revoked.

Somebody who can show a key could use it, so a report of one need show nothing else. Keys are
reported whole: their digests are in every backup of the database, and must not be good for
anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.core.actor import Actor
from tokensvc.store.key_leak import report_leaks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.core.leak import Leak, LeakPolicy
    from tokensvc.store.pool import Database

REPORTER: Final = Actor(name="leak-report")  # somebody who reports a leak and shows no credential


async def end_leaked_keys(
    database: Database, leaks: Sequence[Leak], policy: LeakPolicy, *, actor: Actor
) -> list[RevocationRecord]:
    """Disable or revoke the keys that exist, and note where they were found: one statement.

    Returns all their revocations. Others who revoke wait meanwhile, so `leaks` are not many. It is
    safe to repeat a report, and needed if the first one failed. Raises UnavailableError,
    OutcomeUnknownError.
    """
    async with database.act() as connection:
        return await report_leaks(connection, leaks, policy, actor=actor)
