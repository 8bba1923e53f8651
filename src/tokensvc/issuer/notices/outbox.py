"""Appending events that somebody has noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.store.notice_event import append_notices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.core.notices.event import NewNotice
    from tokensvc.store.pool import Database

# Each may have forty deliveries, and one statement must not take long.
AT_ONCE: Final = 100


async def append_in_steps(database: Database, notices: Sequence[NewNotice]) -> None:
    """Append events, some at a time. Raises UnavailableError; a part may have been appended."""
    for start in range(0, len(notices), AT_ONCE):
        async with database.transaction() as connection:
            await append_notices(connection, notices[start : start + AT_ONCE])
