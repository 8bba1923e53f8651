"""Receipts: the position in a follower's next request says what the follower has applied.

They gather in memory and are written in batches: soon if a follower has come further, every few
seconds if it is only alive.

A follower that shows a token is known by the id of its API key and its name. One that shows none
can call itself anything. Its receipts are kept apart, in a small memory and with little hurry, so
that strangers can neither speak for a real follower nor fill the table.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from tokensvc.issuer.metrics import (
    FOLLOWER_LAG_SECONDS,
    FOLLOWERS,
    PROPAGATION_SECONDS,
    UNPROVED_FOLLOWERS,
)
from tokensvc.store import follower as table
from tokensvc.store.follower import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.core.denylist.position import Position
    from tokensvc.core.follower import FollowerId, FollowerRecord
    from tokensvc.issuer.mirror.mirror import Mirror
    from tokensvc.store.pool import Database

MOST_UNPROVED: Final = 1000  # followers that do not prove their names, in memory and in the table
_MOST_SHOWN: Final = 50  # of them on a list for people
_FORGET_AFTER: Final = timedelta(hours=1)


class _Heard(NamedTuple):
    position: Position
    on: float
    written_on: float


class _Memory:
    """The followers of one kind, the most silent first, and those that have to be written."""

    def __init__(self, most: int, alive_again: float) -> None:
        self._most = most
        self._alive_again = alive_again
        self._heard: OrderedDict[FollowerId, _Heard] = OrderedDict()
        self._news: set[FollowerId] = set()

    def note(self, follower: FollowerId, position: Position, now: float) -> bool:
        """Note where a follower stands; return True if it has come further."""
        before = self._heard.get(follower)
        # What is written, or waits to be, counts as written now; else the last time stays.
        written_on = now
        if before is None:
            self._news.add(follower)
            if len(self._heard) >= self._most:
                silent, _ = self._heard.popitem(last=False)
                self._news.discard(silent)
        elif before.position != position or now - before.written_on >= self._alive_again:
            self._news.add(follower)
        elif follower not in self._news:
            written_on = before.written_on
        self._heard[follower] = _Heard(position, now, written_on)
        self._heard.move_to_end(follower)
        return before is not None and before.position != position

    def take_news(self, now: float) -> list[Receipt]:
        """Return what has to be written, sorted so that two writers cannot deadlock."""
        # Some may have been forgotten since they were noted, and have nothing to write.
        followers, self._news = sorted(self._news), set()
        return [
            Receipt(follower, heard.position, now - heard.on)
            for follower in followers
            if (heard := self._heard.get(follower)) is not None
        ]

    def take_back(self, receipts: list[Receipt]) -> None:
        """Keep what could not be written for the next time."""
        self._news.update(receipt.follower for receipt in receipts)

    def forget(self, follower: FollowerId) -> None:
        """Forget a follower that said goodbye."""
        self._heard.pop(follower, None)
        self._news.discard(follower)

    def forget_silent(self, oldest: float) -> None:
        """Forget the followers that have not asked since `oldest` (monotonic)."""
        self._heard = OrderedDict(
            (f, heard) for f, heard in self._heard.items() if heard.on > oldest
        )


class Receipts:
    """What this process has heard of followers.

    It remembers `most_proved` followers that prove their names and `most_unproved` others, and
    forgets the most silent one for a new one. A follower that is only alive is written again after
    `alive_again` seconds; those that prove nothing are written every `unproved_pause` seconds at
    most. `clock`: monotonic seconds.
    """

    def __init__(
        self,
        database: Database,
        mirror: Mirror,
        *,
        most_proved: int = 10_000,
        most_unproved: int = MOST_UNPROVED,
        alive_again: float = 10.0,
        unproved_pause: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._mirror = mirror
        self._most_proved = most_proved
        self._most_unproved = most_unproved
        self._unproved_pause = unproved_pause
        self._clock = clock
        self._proved = _Memory(most_proved, alive_again)
        self._unproved = _Memory(most_unproved, alive_again)
        self._unproved_written_on = float("-inf")
        self._gone: set[FollowerId] = set()

    def note(self, follower: FollowerId, position: Position) -> None:
        """Note that a follower stands at `position`.

        A position that this process does not know proves nothing, and is passed over.
        """
        if not self._mirror.denylist.log.knows(position):
            return
        memory = self._proved if follower.key_id else self._unproved
        self._gone.discard(follower)
        if memory.note(follower, position, self._clock()) and follower.key_id:
            self._observe_propagation(position)

    def note_goodbye(self, follower: FollowerId) -> None:
        """Forget a follower that stops following."""
        (self._proved if follower.key_id else self._unproved).forget(follower)
        # Anybody can say goodbye without a proof, so that leaves room for those who have one. What
        # is not noted here is forgotten later, when it is silent.
        most = self._most_proved if follower.key_id else self._most_unproved
        if len(self._gone) < most:
            self._gone.add(follower)

    def _observe_propagation(self, position: Position) -> None:
        created_at = self._mirror.denylist.find_created_at(position)
        if created_at is not None:
            seconds = (self._mirror.postgres_clock.now - created_at).total_seconds()
            PROPAGATION_SECONDS.observe(max(0.0, seconds))

    async def flush_once(self) -> None:
        """Write what is new. Raises UnavailableError, and then it is written the next time."""
        now = self._clock()
        proved, unproved = self._proved.take_news(now), []
        if now - self._unproved_written_on >= self._unproved_pause:
            unproved, self._unproved_written_on = self._unproved.take_news(now), now
        gone, self._gone = self._gone, set()
        if not proved and not unproved and not gone:
            return
        try:
            async with self._database.transaction() as connection:
                if gone:
                    await table.delete_followers(connection, sorted(gone))
                # The unproved ones have an empty key id, so they come first in the order.
                await table.put_receipts(connection, [*unproved, *proved])
                if unproved:
                    await table.delete_followers_beyond(connection, self._most_unproved)
        except BaseException:
            self._proved.take_back(proved)
            self._unproved.take_back(unproved)
            self._gone |= gone
            raise

    async def clean_once(self) -> None:
        """Forget followers that fell silent, here and in the table; measure the others.

        Those in the table are forgotten only if all clocks call them silent: a `--wait` would be
        over without them. Raises UnavailableError.
        """
        oldest = self._clock() - _FORGET_AFTER.total_seconds()
        self._proved.forget_silent(oldest)
        self._unproved.forget_silent(oldest)
        now = self._mirror.postgres_clock.collectable_at
        async with self._database.connection() as connection:
            if now is not None:
                await table.delete_silent_followers(connection, now - _FORGET_AFTER)
            followers = await table.list_followers(connection, most_unproved=self._most_unproved)
        alive = [follower for follower in followers if follower.state != "silent"]
        proved = [follower for follower in alive if follower.authenticated]
        FOLLOWERS.set(len(proved))
        UNPROVED_FOLLOWERS.set(len(alive) - len(proved))
        FOLLOWER_LAG_SECONDS.set(max((follower.lag_seconds for follower in proved), default=0.0))


async def list_and_count_followers(
    database: Database,
    *,
    most_unproved: int = _MOST_SHOWN,
    wall: Callable[[], float] = time.time,
) -> tuple[list[FollowerRecord], int]:
    """Return the followers that were heard of in the last hour, and how many prove nothing.

    All that prove their names come first, then the latest `most_unproved` others; the number counts
    those that are not listed too. `wall`: the clock of this process, in seconds. A follower is
    silent if it has not asked for a minute, by that clock and by Postgres's; nobody waits for it.
    """
    now = datetime.fromtimestamp(wall(), UTC)
    async with database.connection() as connection:
        return (
            await table.list_followers(connection, most_unproved=most_unproved, now=now),
            await table.count_unproved_followers(connection),
        )
