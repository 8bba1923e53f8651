"""This process's copy of the denylist: what it has read, and what it has acknowledged itself.

If the table has lost revocations that this copy holds (a failover, a restored backup), they are
written again before the copy follows the table: see `issuer.mirror.healing`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from tokensvc.core.denylist.healing import find_lost, has_gone_back
from tokensvc.core.denylist.log import DenylistLog
from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.metrics import DENYLIST_RESETS
from tokensvc.issuer.mirror.healing import heal
from tokensvc.store.denylist import find_tag, list_after
from tokensvc.store.feed_head import list_heads

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from tokensvc.core.denylist.position import Position
    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.core.sealing import MasterKey
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection, Database

# Another process's clock may call a revocation expired, and delete it, a little before ours does.
_DELETED_EARLY_SECONDS: Final = 30.0
_MOST_DATES: Final = 1000

_log = structlog.get_logger(__name__)


class DenylistCopy:
    """The revocations in force, in order, and those who wait for new ones."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        # Acknowledged by this process, and not read back from the table yet.
        self._acknowledged: list[RevocationRecord] = []
        self._changed = asyncio.Event()
        self.is_released = False
        self.waiting = 0  # so many callers wait for a change
        self.log = DenylistLog()
        self.seen: Position | None = None  # the newest position that the table must hold
        self.created_at: dict[Position, datetime] = {}  # of the latest revocations

    async def wait_for_change(self, seconds: float) -> None:
        """Return when the denylist has changed, `release` was called, or after `seconds`."""
        if self.is_released:
            return
        self.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass
        finally:
            self.waiting -= 1

    def release(self) -> None:
        """End all waits for a change, now and later: the process is draining."""
        self.is_released = True
        self._changed.set()

    def announce(self) -> None:
        """Wake everybody who waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    def remember(self, records: Iterable[RevocationRecord]) -> None:
        """Note what this process has acknowledged, in case Postgres loses it at once."""
        self._acknowledged += records
        self._note_seen()

    @property
    def acknowledged(self) -> Sequence[RevocationRecord]:
        """What this process has acknowledged and not read back yet."""
        return tuple(self._acknowledged)

    async def list_new(
        self,
        connection: Connection,
        head: Position,
        acknowledged: Sequence[RevocationRecord],
        now: datetime,
        earliest: datetime,
    ) -> list[RevocationRecord] | None:
        """Return what came after the head that is held, and has not expired by any clock.

        None means that the table has lost what is held here, or what was acknowledged. `now` is
        Postgres's clock, `earliest` the earliest moment that it can be by all clocks.
        """
        soon = now.timestamp() + _DELETED_EARLY_SECONDS
        known = [] if self.log.head is None else [(self.log.head, self.log.is_head_in_force(soon))]
        if acknowledged:
            newest = max(acknowledged, key=lambda record: record.position.seq)
            known.append((newest.position, newest.revocation.exp > soon))
        for held, in_force in known:
            tag = await find_tag(connection, held.seq)
            if has_gone_back(held, head, tag, in_force=in_force):
                return None
        after = -1 if self.log.head is None else self.log.head.seq
        return await list_after(connection, after, earliest)

    async def heal(
        self,
        acknowledged: Sequence[RevocationRecord],
        master_key: MasterKey,
        earliest: datetime,
    ) -> tuple[list[RevocationRecord], Position]:
        """Write again what the table has lost; return all that it holds then, and its head.

        What had expired by all clocks at `earliest` is left out. Raises UnavailableError if that
        has to be tried again.
        """
        remembered = [*self.log, *acknowledged]
        _log.error("denylist_went_back", held=str(self.log.head), remembered=len(remembered))
        await heal(self._database, self._settings, master_key, remembered, earliest)
        async with self._database.connection() as connection:
            heads, _ = await list_heads(connection)
            records = await list_after(connection, -1, earliest)
        if find_lost(remembered, records, earliest.timestamp()):
            raise UnavailableError(
                "the denylist has changed while it was healed; trying again",
                reason="denylist_not_healed",
            )
        DENYLIST_RESETS.inc()
        return records, heads["denylist"]

    def take(
        self,
        records: Sequence[RevocationRecord],
        head: Position,
        *,
        from_the_start: bool,
        read_back: int,
    ) -> Position:
        """Take in records of the table; return the head.

        The head is further than `head` if records were committed after it was read. `read_back`:
        so many of those acknowledged by this process are known to be in the table now.
        """
        if records and records[-1].position.seq > head.seq:
            head = records[-1].position
        dates = [
            *self.created_at.items(),
            *((record.position, record.created_at) for record in records),
        ]
        self.created_at = dict(dates[-_MOST_DATES:])
        if from_the_start or self.log.head is None:
            self.log.reset(records, head)
        else:
            self.log.append(records, head)
        del self._acknowledged[:read_back]
        self._note_seen()
        return head

    def _note_seen(self) -> None:
        positions = [record.position for record in self._acknowledged]
        if self.log.head is not None:
            positions.append(self.log.head)
        self.seen = max(positions, key=lambda position: position.seq, default=None)
