"""Receipts: the position in a follower's next request says what the follower has applied.

They gather in memory and are written in batches: soon if a follower has come further, every few
seconds if it is only alive. A follower chooses its name; where followers authenticate, the name
begins with their key id, so that nobody else can take it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from tokensvc.issuer.metrics import FOLLOWER_LAG_SECONDS, FOLLOWERS, PROPAGATION_SECONDS
from tokensvc.store import follower as table
from tokensvc.store.follower import Receipt

if TYPE_CHECKING:
    from tokensvc.core.denylist.position import Position
    from tokensvc.core.follower import FollowerRecord
    from tokensvc.issuer.mirror.mirror import Mirror
    from tokensvc.store.pool import Database

_FORGET_AFTER: Final = timedelta(hours=1)

_log = structlog.get_logger(__name__)


class _Heard(NamedTuple):
    position: Position
    authenticated: bool
    on: float
    written_on: float


class Receipts:
    """What this process has heard of followers.

    Strangers choose names, so it remembers `most_names` of them and forgets the most silent one for
    a new one. A follower that is only alive is written again after `alive_again` seconds.
    """

    def __init__(
        self,
        database: Database,
        mirror: Mirror,
        *,
        most_names: int = 10_000,
        alive_again: float = 10.0,
    ) -> None:
        self._database = database
        self._mirror = mirror
        self._most_names = most_names
        self._alive_again = alive_again
        self._heard: OrderedDict[str, _Heard] = OrderedDict()
        self._news: set[str] = set()

    def note(self, name: str, position: Position, *, authenticated: bool) -> None:
        """Note that a follower stands at `position`.

        A position that this process does not know proves nothing, and is passed over.
        """
        if not self._mirror.denylist.log.knows(position):
            return
        before = self._heard.get(name)
        now = written_on = time.monotonic()
        if before is None:
            self._news.add(name)
            if len(self._heard) >= self._most_names:
                self._heard.popitem(last=False)  # the one that has been silent for longest
        elif before.position != position:
            self._news.add(name)
            self._observe_propagation(position)
        elif now - before.written_on >= self._alive_again:
            self._news.add(name)
        elif name not in self._news:
            written_on = before.written_on
        self._heard[name] = _Heard(position, authenticated, now, written_on)
        self._heard.move_to_end(name)

    def _observe_propagation(self, position: Position) -> None:
        created_at = self._mirror.denylist.created_at.get(position)
        if created_at is not None:
            seconds = (self._mirror.confirmation.now - created_at).total_seconds()
            PROPAGATION_SECONDS.observe(max(0.0, seconds))

    async def flush_once(self) -> None:
        """Write what is new. Raises UnavailableError, and then it is written the next time."""
        if not self._news:
            return
        # Sorted, so that two processes which write at once cannot deadlock.
        names, self._news = sorted(self._news), set()
        now = time.monotonic()
        heard = [(name, self._heard[name]) for name in names if name in self._heard]
        receipts = [Receipt(n, h.position, h.authenticated, now - h.on) for n, h in heard]
        try:
            async with self._database.transaction() as connection:
                await table.put_receipts(connection, receipts)
        except BaseException:
            self._news.update(names)
            raise

    async def clean_once(self) -> None:
        """Forget followers that fell silent, here and in the table; measure the others.

        Raises UnavailableError.
        """
        oldest = time.monotonic() - _FORGET_AFTER.total_seconds()
        self._heard = OrderedDict((n, h) for n, h in self._heard.items() if h.on > oldest)
        async with self._database.connection() as connection:
            await table.delete_silent_followers(connection, _FORGET_AFTER)
            followers = await table.list_followers(connection)
        alive = [follower for follower in followers if follower.state != "silent"]
        FOLLOWERS.set(len(alive))
        FOLLOWER_LAG_SECONDS.set(max((follower.lag_seconds for follower in alive), default=0.0))


async def list_followers(database: Database) -> list[FollowerRecord]:
    """Return all followers that were heard of in the last hour."""
    async with database.connection() as connection:
        return await table.list_followers(connection)
