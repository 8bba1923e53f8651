"""The feed's memory: the revocations in order of `seq`, as one service process holds them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tokensvc.core.denylist.revoked import Denylist

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tokensvc.core.denylist.position import Position
    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.core.denylist.revocation import Revocation


class DenylistLog:
    """The live revocations in order of `seq`; it cuts pages out of them.

    `denylist` holds the same for lookups. A reset never takes a revocation out of it.
    """

    def __init__(self) -> None:
        self.head: Position | None = None
        self.denylist = Denylist()
        self._records: deque[RevocationRecord] = deque()
        # The position just before the first record: the oldest that a page can start after.
        self._floor: Position | None = None

    def __iter__(self) -> Iterator[RevocationRecord]:
        """Go through the records held, oldest first."""
        return iter(self._records)

    def reset(self, records: Iterable[RevocationRecord], head: Position) -> None:
        """Start over with all records of the table."""
        self._records = deque(records)
        self.denylist.add(record.revocation for record in self._records)
        self.head = head
        self._floor = None if self._records else head

    def append(self, records: Iterable[RevocationRecord], head: Position) -> None:
        """Take in what came after the head."""
        newer = list(records)
        self._records.extend(newer)
        self.denylist.add(record.revocation for record in newer)
        self.head = head

    def knows(self, position: Position) -> bool:
        """Tell whether a position belongs to this history, as far back as it is remembered."""
        if position in {self.head, self._floor}:
            return True
        for record in reversed(self._records):
            if record.position.seq <= position.seq:
                return record.position == position
        return False

    def is_head_in_force(self, now: float) -> bool:
        """Tell whether the record at the head is held and in force at `now` (seconds).

        Then the table must have it as well.
        """
        if not self._records:
            return False
        last = self._records[-1]
        return last.position == self.head and last.revocation.exp > now

    def forget_expired(self, now: float) -> None:
        """Drop expired records from the old end.

        One that expires before an older record waits for it, which costs only memory.
        """
        self.denylist.forget_expired(now)
        while self._records and self._records[0].revocation.exp <= now:
            self._floor = self._records.popleft().position

    def cut(self, after: Position | None) -> tuple[bool, tuple[Revocation, ...]]:
        """Return (full, revocations) of the page for a follower that stands at `after`."""
        if after is not None and after == self.head:
            return False, ()
        if after is not None and after == self._floor:
            return False, self._all()
        newer: list[Revocation] = []
        for record in reversed(self._records):  # from the new end: a short page costs little
            if record.position == after:
                return False, tuple(reversed(newer))
            newer.append(record.revocation)
            if after is None or record.position.seq < after.seq:
                break
        return True, self._all()

    def _all(self) -> tuple[Revocation, ...]:
        return tuple(record.revocation for record in self._records)
