"""Usage of the keys: counted in memory, and written in batches some seconds later.

What cannot be written now is kept for the next time.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tokensvc.core.actor import Actor
from tokensvc.core.errors import OutcomeUnknownError, TokensvcError
from tokensvc.core.usage import Usage
from tokensvc.issuer.audit import Trail
from tokensvc.issuer.metrics import USAGE_DROPPED, USAGE_WAITING
from tokensvc.logs.logger import get_logger
from tokensvc.store import usage as table
from tokensvc.store.api_key import list_used_after_end

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from tokensvc.core.usage import LastUse
    from tokensvc.issuer.notices.usage_watch import UsageWatch
    from tokensvc.store.pool import Connection, Database

_MOST_WAITING: Final = 200_000
_WRITTEN_AT_ONCE: Final = 200
_LONGEST_PAUSE: Final = 0.02  # seconds: with few keys there is no need to spread
_EXPIRED: Final = "expired"
_HOLDER: Final = Actor(name="holder")

_V = TypeVar("_V", bound=Any)

_log = get_logger(__name__)


class UsageRecorder:
    """Counts the exchanges of this process until they are written.

    `watch` is told which keys were used, and where.
    """

    def __init__(self, database: Database, watch: UsageWatch | None = None) -> None:
        self._database = database
        self._watch = watch
        self._usage = Usage(_MOST_WAITING)
        self._ended: set[str] = set()  # keys that were shown although they have expired

    def add(self, key_id: str, outcome: str, at: datetime) -> None:
        """Count an exchange that was refused."""
        self._usage.add(key_id, outcome, int(at.timestamp()))
        if outcome == _EXPIRED:
            self.note_ended(key_id)

    def note_ended(self, key_id: str) -> None:
        """Remember that a key was shown which has expired: if it was rotated, the trail tells."""
        if len(self._ended) < _MOST_WAITING:
            self._ended.add(key_id)

    def note_call(self, key_id: str, use: LastUse) -> None:
        """Remember the last use of a key that was no exchange."""
        self._usage.note_last(key_id, use)

    def add_issued(self, key_id: str, use: LastUse) -> None:
        """Count a token."""
        self._usage.add_issued(key_id, use)

    async def flush_once(self, *, within: float = 0.0) -> None:
        """Write what has been counted.

        `within`: seconds over which the work may be spread. The usage of 20,000 keys takes half a
        second of this process and of Postgres, in which exchanges would wait longer.
        Raises UnavailableError, and then it is written the next time.
        """
        usage, self._usage = self._usage, Usage(_MOST_WAITING)
        portions = 1 + (usage.waiting + len(usage.last)) // _WRITTEN_AT_ONCE
        pause = min(within / portions, _LONGEST_PAUSE)
        USAGE_DROPPED.inc(usage.dropped)
        USAGE_WAITING.set(usage.waiting)
        usage.dropped = 0
        try:
            for (hour, outcome), sums in usage.sums.items():
                add = functools.partial(table.add_usage, hour=hour, outcome=outcome)
                await self._write(sums, add, pause)
            await self._write(usage.last, self._set_last, pause)
            await self._hand_over(usage.places)
        finally:
            self._usage.take_back(usage)
        USAGE_WAITING.set(0)
        await self._tell_of_ended()

    async def _set_last(self, connection: Connection, uses: list[tuple[str, LastUse]]) -> None:
        """Write the last uses of keys, and tell the watch of them."""
        await table.set_last_use(connection, uses)
        if self._watch is not None:
            self._watch.note([(key_id, use.network) for key_id, use in uses])

    async def _hand_over(self, places: set[tuple[str, str]]) -> None:
        """Tell the watch where else keys were used, few at a time as well."""
        while places:
            batch = [places.pop() for _ in range(min(_WRITTEN_AT_ONCE, len(places)))]
            if self._watch is not None:
                self._watch.note(batch)
            await asyncio.sleep(0)

    async def _tell_of_ended(self) -> None:
        """Tell in the audit trail which rotated keys are still used: once a key and day."""
        while self._ended:
            batch = sorted(itertools.islice(self._ended, _WRITTEN_AT_ONCE))
            async with self._database.transaction() as connection:
                trail = Trail(_HOLDER)
                for key_id, successor_id in await list_used_after_end(connection, batch):
                    trail.note("key.used_after_end", key_id, successor=successor_id)
                await trail.append(connection)
            self._ended.difference_update(batch)

    async def _write(
        self,
        items: dict[str, _V],
        write: Callable[[Connection, list[tuple[str, _V]]], Awaitable[None]],
        pause: float,
    ) -> None:
        while items:
            # Few at a time, because to take and to sort 200,000 at once would hold up everybody.
            # Sorted, so that two processes which write at once cannot deadlock.
            number = min(_WRITTEN_AT_ONCE, len(items))
            batch = sorted(items.popitem() for _ in range(number))
            try:
                async with self._database.transaction() as connection:
                    await write(connection, batch)
            except (OutcomeUnknownError, asyncio.CancelledError):
                # It may have been written: a gap in the statistics is better than counting twice.
                raise
            except BaseException:
                items.update(batch)
                raise
            await asyncio.sleep(pause)

    async def close(self) -> None:
        """Write the rest, if that is possible."""
        try:
            await self.flush_once()
        except TokensvcError as error:
            _log.warning("usage_lost", reason=error.reason, sums=self._usage.waiting)
