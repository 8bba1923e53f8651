"""Watching the denylist from the command line, by looking at its table again and again.

New revocations come in order. If the history goes back (a failover, a restored backup), the watcher
says so and begins again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokensvc.core.denylist.healing import has_gone_back
from tokensvc.store.denylist import find_tag, read_after
from tokensvc.store.feed_head import list_heads

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.core.denylist.position import Position
    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.store.pool import Database


@dataclass(frozen=True, slots=True)
class Look:
    """What one look has found.

    `records`: the revocations after the last look or, if the history `went_back`, all that are in
    force. `position`: where the watcher stands now.
    """

    position: Position
    records: list[RevocationRecord]
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
                self._held, self._expires = head, 0.0
            tag = await find_tag(connection, self._held.seq)
            self._latest = max(now, self._latest or now)
            in_force = self._latest.timestamp() < self._expires
            went_back = has_gone_back(self._held, head, tag, in_force=in_force)
            seq = -1 if went_back else self._held.seq
            records = [
                record
                async for part in read_after(connection, seq, now)
                for record in part
                if head != self._held
            ]
        # More may have been committed since the head was read.
        if records and records[-1].position.seq >= head.seq:
            self._held, self._expires = records[-1].position, records[-1].revocation.exp
        elif head != self._held:
            self._held, self._expires = head, 0.0
        return Look(self._held, records, went_back)
