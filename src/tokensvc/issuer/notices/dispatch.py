"""Delivering: any number of processes share the work, and each may be killed at any moment.

An endpoint is leased by one process, which sends what waits for it, one after the other. If the
process dies, another one goes on when the lease is over: what was sent but not noted as sent is
sent again. Endpoints that fail have a lane of their own. So a receiver that hangs holds up itself,
and never those that answer.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from tokensvc.core.errors import TokensvcError
from tokensvc.core.notices.confirmation import build_code
from tokensvc.core.notices.endpoint import build_secret_context
from tokensvc.core.notices.event import CONFIRM
from tokensvc.core.notices.payload import build_mail, build_subject
from tokensvc.core.notices.receiver import find_mailbox
from tokensvc.core.notices.retry import decide_hold, decide_pause, is_given_up
from tokensvc.core.sealing import unseal_text
from tokensvc.issuer.metrics import NOTICE_ATTEMPTS, NOTICE_OLDEST_SECONDS
from tokensvc.issuer.notices.acts import AT_ONCE, plan_acts_once
from tokensvc.issuer.notices.deliveries import give_up_endpoint
from tokensvc.store import notice_endpoint as table
from tokensvc.store.notice_delivery import (
    Outcome,
    find_oldest_seconds,
    list_due_deliveries,
    note_attempt,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokensvc.core.sealing import MasterKey
    from tokensvc.issuer.notices.mail import MailSender
    from tokensvc.issuer.notices.webhook import WebhookSender
    from tokensvc.store.notice_delivery import DueDelivery
    from tokensvc.store.notice_endpoint import ClaimedEndpoint
    from tokensvc.store.pool import Database

LEASE: Final = timedelta(seconds=60)

_LONGEST_TURN: Final = 30.0  # seconds; one attempt more must fit into the lease
_AT_ONCE: Final = 100
_MAIL_HOLD: Final = timedelta(seconds=60)  # what happens meanwhile comes in one mail
_NONE: Final = timedelta()

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Lane:
    """How many endpoints are delivered to at the same time: those that fail, or the others."""

    is_failing: bool
    slots: int
    running: set[asyncio.Task[None]] = field(default_factory=set)


class Dispatcher:
    """What one process does to deliver.

    `link`: the address of the page that confirms a mailbox. `load_master_key` opens the secrets of
    endpoints. `chance` returns a number from 0 to 1.
    """

    def __init__(
        self,
        database: Database,
        webhook: WebhookSender,
        mail: MailSender,
        *,
        issuer: str,
        load_master_key: Callable[[], MasterKey],
        lease: timedelta = LEASE,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._webhook = webhook
        self._mail = mail
        self._issuer = issuer
        self._load_master_key = load_master_key
        self._lease = lease
        self._chance = chance
        self._lanes = (_Lane(is_failing=False, slots=8), _Lane(is_failing=True, slots=4))

    async def work_once(self) -> None:
        """Find events, and begin with all endpoints that are due, as far as there are slots.

        Raises UnavailableError.
        """
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
        """Wait until everything has ended that is under way."""
        while running := [task for lane in self._lanes for task in lane.running]:
            await asyncio.gather(*running)

    async def close(self) -> None:
        """Stop. What is under way is sent again by somebody else."""
        running = [task for lane in self._lanes for task in lane.running]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._webhook.close()

    async def _claim(self, lane: _Lane) -> ClaimedEndpoint | None:
        async with self._database.connection() as connection:
            return await table.claim_endpoint(
                connection, is_failing=lane.is_failing, lease=self._lease
            )

    async def _run_slot(self, lane: _Lane, claimed: ClaimedEndpoint | None) -> None:
        """Deliver to one endpoint after the other until none is due."""
        try:
            while claimed is not None:
                await self._deliver(claimed)
                claimed = await self._claim(lane)
        except TokensvcError as error:
            _log.warning("notices_interrupted", reason=error.reason)
        except Exception:  # noqa: BLE001 - a fault of ours: logged, and tried again after the lease
            _log.exception("notices_interrupted")

    async def _deliver(self, claimed: ClaimedEndpoint) -> None:
        async with self._database.connection() as connection:
            due = await list_due_deliveries(connection, claimed.id, _AT_ONCE)
        outcome: Outcome | None = None
        hold = _NONE
        mailbox = find_mailbox(claimed.url)
        if due and mailbox is not None:
            outcome, hold = await self._send_mail(claimed, mailbox, due), _MAIL_HOLD
        elif due:
            outcome = await self._send_all(claimed, due)
        await self._release(claimed, outcome, hold)

    async def _send_all(
        self, claimed: ClaimedEndpoint, due: Sequence[DueDelivery]
    ) -> Outcome | None:
        """Send to a receiver until it fails or its turn is over; return the last outcome."""
        began_on, outcome = time.monotonic(), None
        master_key = self._load_master_key()
        secrets = [
            unseal_text(sealed, build_secret_context(claimed.id), master_key)
            for sealed in claimed.sealed_secrets
        ]
        usable = [secret for secret in secrets if secret is not None]
        for one in due:
            elapsed = time.monotonic() - began_on
            if elapsed > _LONGEST_TURN:
                break
            if not usable:
                outcome = Outcome(is_delivered=False, error="secret_not_opened")
            else:
                now = one.read_at + timedelta(seconds=elapsed)
                outcome = await self._webhook.send(claimed.url, usable, one.notice, now)
            await self._note([one], outcome)
            if not outcome.is_delivered:
                break
        return outcome

    async def _send_mail(
        self, claimed: ClaimedEndpoint, mailbox: str, due: Sequence[DueDelivery]
    ) -> Outcome:
        """Send what waits in one mail. What asks for a confirmation comes alone."""
        asking = [one for one in due if one.notice.name == CONFIRM]
        sent = asking[:1] or due
        notices, link = [one.notice for one in sent], None
        if asking:
            code = build_code(claimed.id, claimed.url, sent[0].read_at, self._load_master_key())
            link = f"{self._issuer}/notices/confirm?code={code}"
        outcome = await self._mail.send(
            mailbox,
            build_subject(notices),
            build_mail(notices, self._issuer, link),
            sent[0].read_at,
        )
        await self._note(sent, outcome)
        return outcome

    async def _note(self, sent: Sequence[DueDelivery], outcome: Outcome) -> None:
        NOTICE_ATTEMPTS.labels(outcome.error or "delivered").inc(len(sent))
        pauses: list[timedelta | None] = [None] * len(sent)
        if not outcome.is_delivered:
            pauses = [decide_pause(one.attempts + 1, self._chance()) for one in sent]
        async with self._database.connection() as connection:
            await note_attempt(connection, [one.id for one in sent], outcome, pauses)

    async def _release(
        self, claimed: ClaimedEndpoint, outcome: Outcome | None, hold: timedelta
    ) -> None:
        has_failed = None if outcome is None else not outcome.is_delivered
        if has_failed:
            hold = decide_hold(claimed.failures + 1)
        async with self._database.connection() as connection:
            released = await table.release_endpoint(
                connection, claimed, hold=hold, has_failed=has_failed
            )
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
