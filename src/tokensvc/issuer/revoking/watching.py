"""Watching the denylist: new revocations come in order.

If the history goes back (a failover, a restored backup), the watcher is told so and begins again.

A service answers from its copy of the denylist, so that Postgres is asked as often for a thousand
callers who wait as for none. A command has no copy: it looks at the table again and again.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tokensvc.core.denylist.healing import has_gone_back
from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.postgres_clock import FRESH_SECONDS
from tokensvc.store.denylist import find_tag, read_after
from tokensvc.store.feed_head import list_heads

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tokensvc.core.denylist.position import Position
    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.issuer.mirror.mirror import Mirror
    from tokensvc.store.pool import Database

_LOOK_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Look:
    """What one look has found.

    `records`: the revocations after the last look or, if the history `went_back`, those that are in
    force. `position`: where the watcher stands now; of a long list, more follows after it.
    """

    position: Position
    records: Sequence[RevocationRecord]
    went_back: bool


class DenylistWatcher:
    """Stands at a position and goes on from there: from `after`, or from the end of the list."""

    def __init__(self, after: Position | None = None) -> None:
        self._held = after
        # Until then the table must hold the revocation at our position. When a position comes from
        # outside, nothing is known of its end.
        self._expires = math.inf
        # Postgres's clock may be set back after something was deleted by it.
        self._latest: datetime | None = None

    async def look_once(self, database: Database) -> Look:
        """Look for what is new. Raises UnavailableError, and then stands where it stood."""
        async with database.connection() as connection:
            heads, now = await list_heads(connection)
            head = heads["denylist"]
            if self._held is None:
                # Nothing is known of the revocation at a head, so its absence will prove nothing.
                self._held, self._expires = head, 0.0
            tag = await find_tag(connection, self._held.seq)
            self._latest = max(now, self._latest or now)
            in_force = self._latest.timestamp() < self._expires
            went_back = has_gone_back(self._held, head, tag, in_force=in_force)
            seq = -1 if went_back else self._held.seq
            records: list[RevocationRecord] = []
            if head != self._held:
                async for part in read_after(connection, seq, now if went_back else None):
                    records += part
        # More may have been committed since the head was read.
        if records and records[-1].position.seq >= head.seq:
            self._held, self._expires = records[-1].position, records[-1].revocation.exp
        elif head != self._held:
            self._held, self._expires = head, 0.0
        return Look(self._held, records, went_back)


async def watch_table(database: Database, after: Position | None, wait: float) -> Look:
    """Return what the table has after `after`, or after its end; wait `wait` seconds for it.

    Raises UnavailableError.
    """
    watcher = DenylistWatcher(after)
    deadline_on = time.monotonic() + wait
    while True:
        look = await watcher.look_once(database)
        if look.records or look.went_back or time.monotonic() >= deadline_on:
            return look
        await asyncio.sleep(_LOOK_SECONDS)


async def watch_copy(mirror: Mirror, after: Position | None, wait: float) -> Look:
    """As `watch_table`, from the copy of this process. A process that drains ends the wait.

    A list that is longer than a page of the feed comes in parts.
    """
    denylist, log = mirror.denylist, mirror.denylist.log
    deadline_on = time.monotonic() + wait
    if after is None or not log.knows(after):
        # Another process may know what is newer than this copy.
        await mirror.refresh_for_a_miss()
    held = log.head if after is None else after
    while held == log.head and not denylist.is_released and time.monotonic() < deadline_on:
        await denylist.wait_for_change(deadline_on - time.monotonic())
    if log.head is None or mirror.postgres_clock.age_seconds > FRESH_SECONDS:
        raise UnavailableError(
            "the denylist cannot be confirmed right now; try again", reason="mirror_stale"
        )
    cut = log.cut(held)
    records = [cut.records.record(index) for index in range(len(cut.records))]
    return Look(cut.cursor or log.head, records, cut.full)
