"""Delivering: any number of processes share the work, and each may be killed at any moment.

An endpoint is leased by one process, which sends what waits for it, one after the other. If the
process dies, another one goes on when the lease is over: what was sent but not noted as sent is
sent again. Endpoints that fail have a lane of their own, and an account gets half of each lane at
most. So receivers that hang or are slow hold up themselves, and never those of others.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import TokensvcError
from tokensvc.core.notices.destination import find_mail_address
from tokensvc.core.notices.retry import decide_hold, is_given_up
from tokensvc.issuer.metrics import NOTICE_OLDEST_SECONDS
from tokensvc.issuer.notices.acts import plan_acts_once
from tokensvc.issuer.notices.deliveries import give_up_endpoint
from tokensvc.issuer.notices.outbox import AT_ONCE
from tokensvc.logs.logger import get_logger
from tokensvc.store import notice_endpoint as table
from tokensvc.store.notice_delivery import find_oldest_seconds, list_due_deliveries

if TYPE_CHECKING:
    from tokensvc.issuer.notices.sending import NoticeSender
    from tokensvc.store.notice_delivery import AttemptOutcome
    from tokensvc.store.notice_endpoint import ClaimedEndpoint
    from tokensvc.store.pool import Database

# A turn at an endpoint lasts five seconds, and one attempt of ten more (`sending`).
LEASE: Final = timedelta(seconds=60)

_AT_ONCE: Final = 100  # deliveries to one endpoint in a turn
_PATIENCE: Final = 1.0  # seconds
_MAIL_HOLD: Final = timedelta(seconds=60)  # what happens meanwhile comes in one mail
_NONE: Final = timedelta()

_log = get_logger(__name__)


@dataclass(slots=True)
class _Lane:
    """How many endpoints are delivered to at the same time: those that fail, or the others.

    `busy`: how many of them are of which account. `turn`: who may claim the next one.
    """

    is_failing: bool
    slots: int
    running: set[asyncio.Task[None]] = field(default_factory=set)
    busy: Counter[str | None] = field(default_factory=Counter)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def crowded(self) -> list[str | None]:
        """The accounts that have as many slots as one may have."""
        return [account_id for account_id, count in self.busy.items() if count >= self.slots // 2]

    def leave(self, account_id: str | None) -> None:
        """Note that a slot is free again."""
        self.busy[account_id] -= 1
        if not self.busy[account_id]:
            del self.busy[account_id]


class Dispatcher:
    """What one process does to deliver. `lease`: how long an endpoint is taken for."""

    def __init__(
        self, database: Database, sender: NoticeSender, *, lease: timedelta = LEASE
    ) -> None:
        self._database = database
        self._sender = sender
        self._lease = lease
        self._is_closing = False
        self._lanes = (_Lane(is_failing=False, slots=8), _Lane(is_failing=True, slots=4))

    async def work_once(self) -> None:
        """Find events, and begin with all endpoints that are due, as far as there are slots.

        Raises UnavailableError.
        """
        # After a full batch there may be more acts.
        while await plan_acts_once(self._database) == AT_ONCE:
            pass
        for lane in self._lanes:
            while len(lane.running) < lane.slots:
                claimed = await self._claim(lane)
                if claimed is None:
                    break
                task = asyncio.create_task(self._run_slot(lane, claimed))
                lane.running.add(task)
                task.add_done_callback(lane.running.discard)

    async def measure_once(self) -> None:
        """Set the metric of the oldest delivery. Raises UnavailableError."""
        async with self._database.connection() as connection:
            NOTICE_OLDEST_SECONDS.set(await find_oldest_seconds(connection))

    async def settle(self) -> None:
        """Wait until everything that is under way has ended."""
        while running := [task for lane in self._lanes for task in lane.running]:
            await asyncio.gather(*running)

    async def close(self) -> None:
        """Stop. What does not end within a second is sent again by somebody else."""
        self._is_closing = True
        running = [task for lane in self._lanes for task in lane.running]
        if running:
            _, late = await asyncio.wait(running, timeout=_PATIENCE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._sender.close()

    async def _claim(self, lane: _Lane) -> ClaimedEndpoint | None:
        if self._is_closing:
            return None
        # They are claimed one after the other, so that each sees how many slots an account has by
        # now.
        async with lane.turn, self._database.connection() as connection:
            claimed = await table.claim_endpoint(
                connection, is_failing=lane.is_failing, lease=self._lease, crowded=lane.crowded
            )
            if claimed is not None:
                lane.busy[claimed.account_id] += 1
        return claimed

    async def _run_slot(self, lane: _Lane, claimed: ClaimedEndpoint | None) -> None:
        """Deliver to one endpoint after the other until none is due."""
        try:
            while claimed is not None:
                try:
                    await self._deliver(claimed)
                finally:
                    lane.leave(claimed.account_id)
                claimed = await self._claim(lane)
        except TokensvcError as error:
            _log.warning("notices_interrupted", reason=error.reason)
        except Exception:  # noqa: BLE001 - a fault of ours: logged, and tried again after the lease
            _log.exception("notices_interrupted")

    async def _deliver(self, claimed: ClaimedEndpoint) -> None:
        async with self._database.connection() as connection:
            due = await list_due_deliveries(connection, claimed.id, _AT_ONCE)
        outcome = await self._sender.send(claimed, due) if due else None
        is_mailbox = due and find_mail_address(claimed.url) is not None
        await self._release(claimed, outcome, _MAIL_HOLD if is_mailbox else _NONE)

    async def _release(
        self, claimed: ClaimedEndpoint, outcome: AttemptOutcome | None, hold: timedelta
    ) -> None:
        has_failed = None if outcome is None else not outcome.is_delivered
        if has_failed:
            hold = decide_hold(claimed.failures + 1)
        async with self._database.connection() as connection:
            released = await table.release_endpoint(
                connection, claimed, hold=hold, has_failed=has_failed
            )
        # Without the lease it is for another process to say whether the endpoint fails.
        if outcome is None or outcome.is_delivered or released is None:
            return
        _log.info(
            "notice_not_delivered",
            endpoint=claimed.id,
            error=outcome.error,
            status=outcome.status,
            failures=claimed.failures + 1,
        )
        if outcome.error == "gone":
            await give_up_endpoint(self._database, claimed.id, "gone")
        elif is_given_up(released.failing_since, released.at):
            await give_up_endpoint(self._database, claimed.id, "failing")
