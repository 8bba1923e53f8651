"""This process's copy of the denylist: what it has read, and what it has acknowledged itself.

If the table has lost revocations that this copy holds (a failover, a restored backup), they are
written again before the copy follows the table: see `issuer.mirror.healing`.
"""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import TYPE_CHECKING, Final

from tokensvc.core.denylist.columns import RecordColumns
from tokensvc.core.denylist.healing import find_lost, has_gone_back
from tokensvc.core.denylist.log import DenylistLog
from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.metrics import DENYLIST_RESETS
from tokensvc.issuer.mirror.healing import heal
from tokensvc.logs.logger import get_logger
from tokensvc.store.denylist import find_tag, read_after
from tokensvc.store.feed_head import list_heads

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from datetime import datetime

    from tokensvc.core.denylist.position import Position
    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.core.sealing import MasterKey
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection, Database

# Another process's clock may call a revocation expired, and delete it, a little before ours does.
_DELETED_EARLY_SECONDS: Final = 30.0
_NEWEST: Final = 1000  # revocations of which it is measured how soon they reach followers

_log = get_logger(__name__)


class DenylistCopy:
    """The revocations in force, in order, and those who wait for new ones."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        # Acknowledged by this process, and not read back from the table yet.
        self._acknowledged: list[RevocationRecord] = []
        self._changed = asyncio.Event()
        self.is_released = False
        self.resets = 0  # how often the table had lost a part of it
        self.waiting = 0  # how many callers wait for a change
        self.log = DenylistLog()
        self._newest: Position | None = None  # of those acknowledged

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
        self._changed = asyncio.Event()  # who waits holds the old one

    def remember(self, records: Iterable[RevocationRecord]) -> None:
        """Note what this process has acknowledged, in case Postgres loses it at once."""
        self._acknowledged += records
        self._note_newest()

    @property
    def acknowledged(self) -> Sequence[RevocationRecord]:
        """What this process has acknowledged and not read back yet."""
        return tuple(self._acknowledged)

    def find_created_at(self, position: Position) -> datetime | None:
        """Return when the revocation at a position was made, if it is one of the newest."""
        return self.log.find_created_at(position, newest=_NEWEST)

    @property
    def seen(self) -> Position | None:
        """The newest position that the table must hold."""
        head, newest = self.log.head, self._newest
        return newest if newest and (head is None or newest.seq > head.seq) else head

    def _note_newest(self) -> None:
        positions = (record.position for record in self._acknowledged)
        self._newest = max(positions, key=lambda position: position.seq, default=None)

    async def has_lost_some(
        self,
        connection: Connection,
        head: Position,
        acknowledged: Sequence[RevocationRecord],
        latest: datetime,
    ) -> bool:
        """Tell whether the table has lost what is held here, or what was acknowledged.

        What had expired by the `latest` moment that any clock has shown may have been deleted.
        """
        soon = latest.timestamp() + _DELETED_EARLY_SECONDS
        known = [] if self.log.head is None else [(self.log.head, self.log.is_head_in_force(soon))]
        if acknowledged:
            newest = max(acknowledged, key=lambda record: record.position.seq)
            known.append((newest.position, newest.revocation.exp > soon))
        # Numbers are used again after a failover, so it is the tag at a number that shows a loss.
        for held, in_force in known:
            tag = await find_tag(connection, held.seq)
            # A row that has expired may be missing for a good reason, and then it proves nothing.
            if has_gone_back(held, head, tag, in_force=in_force):
                return True
        return False

    async def follow(self, connection: Connection, head: Position, now: datetime) -> Position:
        """Take in what the table has after the head held, the first time all; return its head.

        That is further than `head` if records were committed after it was read. A long list is
        taken in part by part. Each part is a whole beginning of what is new, so a page may end
        there: it claims to be no fresher than the last confirmation, which all of this is after.
        """
        if self.log.head is None:
            records = await _read_all(connection, now)
            head = _find_head(records, head)
            await _take(self.log.reset_in_steps(records, head))
            return head
        async for records in read_after(connection, self.log.head.seq):
            newest = records.position(len(records) - 1)
            await _take(self.log.append_in_steps(records, newest))
        if self.log.head.seq < head.seq:
            self.log.append((), head)  # what was newer has been deleted already
        return self.log.head

    def note_read_back(self, count: int) -> None:
        """Note that the table has the first `count` of those that this process acknowledged."""
        del self._acknowledged[:count]  # those acknowledged since then stand behind
        self._note_newest()

    async def heal(
        self,
        acknowledged: Sequence[RevocationRecord],
        master_key: MasterKey,
        earliest: datetime,
    ) -> Position:
        """Write again what the table has lost, and start over with all that it holds then.

        What had expired by all clocks at `earliest` is left out. Returns the head. Raises
        UnavailableError if that has to be tried again.
        """
        async with self._database.connection() as connection:
            present = await _read_all(connection, earliest)
        # In threads, because a denylist may be long. Only a refresh changes the log meanwhile, and
        # this is one.
        missing = await asyncio.to_thread(_list_missing, self.log, present, acknowledged)
        _log.error("denylist_went_back", held=str(self.log.head), missing=len(missing))
        await heal(self._database, self._settings, master_key, missing, earliest)
        async with self._database.connection() as connection:
            heads, _ = await list_heads(connection)
            records = await _read_all(connection, earliest)
        # A second failover may have taken back what was just written. The copy must not follow a
        # table that lacks it, because it would then forget what only it remembers.
        if await asyncio.to_thread(find_lost, missing, records, earliest.timestamp()):
            raise UnavailableError(
                "the denylist has changed while it was healed; trying again",
                reason="denylist_not_healed",
            )
        DENYLIST_RESETS.inc()
        self.resets += 1
        head = _find_head(records, heads["denylist"])
        await _take(self.log.reset_in_steps(records, head))
        return head


def _list_missing(
    log: DenylistLog, present: RecordColumns, acknowledged: Sequence[RevocationRecord]
) -> list[RevocationRecord]:
    """Return what is remembered and does not stand at its place in the table."""
    remembered = chain(log, acknowledged)
    return [record for record in remembered if not present.holds(record.position)]


async def _take(steps: Generator[None, None, None]) -> None:
    """Take the steps, and let all else that is waiting go first after each of them."""
    for _ in steps:
        await asyncio.sleep(0)


async def _read_all(connection: Connection, now: datetime) -> RecordColumns:
    columns = RecordColumns()
    async for records in read_after(connection, -1, now):
        columns.extend(records)
    return columns


def _find_head(records: RecordColumns, head: Position) -> Position:
    """Return the position of the last record, if it was committed after `head` was read."""
    last = len(records) - 1
    return records.position(last) if last >= 0 and records.seq(last) > head.seq else head
