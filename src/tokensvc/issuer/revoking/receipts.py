"""Receipts: a follower's next question says what it has applied, so nobody needs to be asked.

They gather in memory and are written in batches: at once when somebody has come further, every few seconds when it only lives. A name is
what a follower calls itself; where followers authenticate it begins with their key id, and nobody else can take it.
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

MOST_NAMES: Final = 10_000  # strangers choose names
_ALIVE_AGAIN: Final = 10.0
_FORGET_AFTER: Final = timedelta(hours=1)

_log = structlog.get_logger(__name__)


class _Heard(NamedTuple):
    position: Position
    authenticated: bool
    on: float
    written_on: float


class Receipts:
    """What this process has heard of followers."""

    def __init__(self, database: Database, mirror: Mirror) -> None:
        self._database = database
        self._mirror = mirror
        self._heard: OrderedDict[str, _Heard] = OrderedDict()
        self._news: set[str] = set()

    def note(self, name: str, position: Position, *, authenticated: bool) -> None:
        """Note that a follower stands at `position`; one that this process does not know proves nothing, and is passed over."""
        before = self._heard.get(name)
        if not self._mirror.denylist.log.knows(position):
            return
        if before is None and len(self._heard) >= MOST_NAMES:
            self._heard.popitem(last=False)  # who has been silent for longest
        now = time.monotonic()
        if before is None or before.position != position:
            self._news.add(name)
            created_at = self._mirror.denylist.find_created_at(position)
            if created_at is not None and before is not None:
                PROPAGATION_SECONDS.observe(
                    max(0.0, (self._mirror.confirmation.now - created_at).total_seconds())
                )
        elif now - before.written_on >= _ALIVE_AGAIN:
            self._news.add(name)
        self._heard[name] = _Heard(
            position,
            authenticated,
            now,
            now if name in self._news else before.written_on if before else now,
        )
        self._heard.move_to_end(name)

    async def flush_once(self) -> None:
        """Write what is new. Raises UnavailableError, and then it is written the next time."""
        if not self._news:
            return
        names, self._news = sorted(self._news), set()
        now = time.monotonic()
        heard = [(name, self._heard[name]) for name in names if name in self._heard]
        try:
            async with self._database.transaction() as connection:
                await table.put_receipts(
                    connection,
                    [Receipt(n, h.position, h.authenticated, now - h.on) for n, h in heard],
                )
        except BaseException:
            self._news.update(names)
            raise

    async def clean_once(self) -> None:
        """Forget those that fell silent, here and in the table; tell how the others do."""
        now = time.monotonic()
        self._heard = OrderedDict(
            (name, h)
            for name, h in self._heard.items()
            if now - h.on < _FORGET_AFTER.total_seconds()
        )
        async with self._database.connection() as connection:
            await table.delete_silent_followers(connection, _FORGET_AFTER)
            alive = [
                follower
                for follower in await table.list_followers(connection)
                if follower.state != "silent"
            ]
        FOLLOWERS.set(len(alive))
        FOLLOWER_LAG_SECONDS.set(max((follower.lag_seconds for follower in alive), default=0.0))


async def list_followers(database: Database) -> list[FollowerRecord]:
    """Return all followers that were heard of in the last hour."""
    async with database.connection() as connection:
        return await table.list_followers(connection)
