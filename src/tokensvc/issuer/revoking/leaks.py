"""Reports of leaked API keys: whoever has found a key may have it disabled or revoked.

Who can show a key could use it, so nothing more is asked of who reports it. Keys are reported
whole: their digests are in every backup of the database, and must not be good for anything.
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

REPORTER: Final = Actor(name="leak-report")  # whoever reports a leak and shows no credential
# Others who revoke wait for each statement, so a long report is several of them.
_AT_ONCE: Final = 100


async def end_leaked_keys(
    database: Database, leaks: Sequence[Leak], policy: LeakPolicy, *, actor: Actor
) -> list[RevocationRecord]:
    """Disable or revoke the keys that exist, and note where they were found.

    Returns all their revocations. It is safe to repeat a report, and needed if the first one
    failed: a part of it may be done. Raises UnavailableError, OutcomeUnknownError.
    """
    records: list[RevocationRecord] = []
    for at in range(0, len(leaks), _AT_ONCE):
        async with database.act() as connection:
            records += await report_leaks(
                connection, leaks[at : at + _AT_ONCE], policy, actor=actor
            )
    return records
