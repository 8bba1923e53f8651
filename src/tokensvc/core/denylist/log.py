"""The feed's memory: the revocations in order of `seq`, as one service process holds them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from tokensvc.core.denylist.columns import RecordColumns
from tokensvc.core.denylist.lookup import Denylist
from tokensvc.core.denylist.page import MOST_ENTRIES
from tokensvc.core.steps import run_steps

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from datetime import datetime

    from tokensvc.core.denylist.position import Position
    from tokensvc.core.denylist.record import RevocationRecord

# So many forgotten records keep their positions. Followers that are reading a long denylist stand
# at its old end, where records are forgotten all the time, and need not start over because of it.
_REMEMBERED: Final = 20_000
# Bounds of one step, because the event loop waits for its end.
_FORGOTTEN_AT_ONCE: Final = 5000
_ADDED_PER_STEP: Final = 500


class Cut(NamedTuple):
    """What one page holds: the records after a position, up to `cursor`.

    If `full`, the first records of all that is in force.
    """

    full: bool
    cursor: Position | None
    records: RecordColumns


class DenylistLog:
    """The live revocations in order of `seq`; it cuts pages out of them.

    `denylist` holds the same for lookups. A reset never takes a revocation out of it.
    `resets` counts the resets.
    """

    def __init__(self, *, remembered: int = _REMEMBERED) -> None:
        self.head: Position | None = None
        self.denylist = Denylist()
        self.resets = 0
        self._remembered = remembered
        self._records = RecordColumns()
        self._first = 0  # the index of the first record that is not forgotten
        # The position just before the first record held: the oldest that a page can start after.
        self._floor: Position | None = None

    def __iter__(self) -> Iterator[RevocationRecord]:
        """Go through the records in force, oldest first."""
        return map(self._records.record, range(self._first, len(self._records)))

    def __len__(self) -> int:
        """Return the number of records in force."""
        return len(self._records) - self._first

    def reset(self, records: Iterable[RevocationRecord] | RecordColumns, head: Position) -> None:
        """Start over with all records of the table."""
        run_steps(self.reset_in_steps(records, head))

    def reset_in_steps(
        self, records: Iterable[RevocationRecord] | RecordColumns, head: Position
    ) -> Generator[None, None, None]:
        """As `reset`, in steps of less than a millisecond; the log changes in the last one."""
        columns = _as_columns(records)
        yield from self._note(columns)
        self._records = columns
        self._first = 0
        self.head = head
        # An empty table has no record that a page could start after, so it starts after the head.
        self._floor = None if len(columns) else head
        self.resets += 1

    def append(self, records: Iterable[RevocationRecord] | RecordColumns, head: Position) -> None:
        """Take in what came after the head."""
        run_steps(self.append_in_steps(records, head))

    def append_in_steps(
        self, records: Iterable[RevocationRecord] | RecordColumns, head: Position
    ) -> Generator[None, None, None]:
        """As `append`, in steps of less than a millisecond; the log changes in the last one."""
        newer = _as_columns(records)
        yield from self._note(newer)
        self._records.extend(newer)
        self.head = head

    def _note(self, records: RecordColumns) -> Generator[None, None, None]:
        """Let lookups find the records, which the log itself does not hold yet."""
        rest = records.revocations()
        for start in range(0, len(records), _ADDED_PER_STEP):
            if start:
                yield
            self.denylist.add(islice(rest, _ADDED_PER_STEP))

    def knows(self, position: Position) -> bool:
        """Tell whether a position belongs to this history, as far back as it is remembered."""
        return position == self.head or self._find_next(position) is not None

    def find_created_at(self, position: Position, *, newest: int) -> datetime | None:
        """Return when the record at `position` was made; None if it is not of the `newest`."""
        following = self._find_next(position)
        # 0 stands for the floor, whose record is not held any more.
        if not following or following <= len(self._records) - newest:
            return None
        return self._records.created_at(following - 1)

    def is_head_in_force(self, now: float) -> bool:
        """Tell whether the record at the head is held and in force at `now` (seconds).

        Then the table must have it as well.
        """
        if not len(self):
            return False
        last = len(self._records) - 1
        return self._records.position(last) == self.head and self._records.exp(last) > now

    def forget_expired(self, now: float) -> None:
        """Drop expired records from the old end, some thousands at a time.

        One that expires before an older record waits for it, which costs only memory.
        """
        self.denylist.forget_expired(now)
        records = self._records
        last = min(len(records), self._first + _FORGOTTEN_AT_ONCE)
        while self._first < last and records.exp(self._first) <= now:
            self._first += 1
        surplus = self._first - self._remembered
        # Not one by one, because all that is left moves each time.
        if surplus > max(self._remembered // 4, len(records) // 8):
            self._floor = records.position(surplus - 1)
            records.drop_first(surplus)
            self._first -= surplus

    def cut(self, after: Position | None, *, most: int = MOST_ENTRIES) -> Cut:
        """Return what the next page holds for a follower that stands at `after`.

        It has at most `most` records. While more than that are left, a page ends at a number that
        is a multiple of `most`, so that all followers soon ask for the same pages.
        """
        if after is not None and after == self.head:
            return Cut(full=False, cursor=self.head, records=RecordColumns())
        following = None if after is None else self._find_next(after)
        start = max(self._first, following or 0)
        stop = self._find_end(start, most)
        is_all = stop == len(self._records)
        return Cut(
            full=following is None,
            cursor=self.head if is_all else self._records.position(stop - 1),
            records=self._records.cut(start, stop),
        )

    def _find_end(self, start: int, most: int) -> int:
        if len(self._records) - start <= most:
            return len(self._records)
        # The last multiple of `most` before the number of the record that does not fit any more.
        # Numbers have gaps where records have expired, so fewer than `most` may lie before it, but
        # always one.
        border = (self._records.seq(start + most) - 1) // most * most
        return self._records.find_index(border + 1)

    def _find_next(self, position: Position) -> int | None:
        """Return the index of the record after a position, None if the position is not held."""
        if position == self._floor:
            return 0
        index = self._records.find_index(position.seq)
        is_held = index < len(self._records) and self._records.position(index) == position
        return index + 1 if is_held else None


def _as_columns(records: Iterable[RevocationRecord] | RecordColumns) -> RecordColumns:
    return records if isinstance(records, RecordColumns) else RecordColumns.of(records)
