"""Sending what waits for one endpoint, and noting how each attempt ended."""

from __future__ import annotations

import random
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tokensvc.core.notices.destination import find_mail_address
from tokensvc.core.notices.endpoint import build_secret_context
from tokensvc.core.notices.event import CONFIRM
from tokensvc.core.notices.mail_link import build_link
from tokensvc.core.notices.payload import build_confirmation, build_mail, build_subject
from tokensvc.core.notices.retry import decide_pause
from tokensvc.core.sealing import unseal_text
from tokensvc.issuer.metrics import NOTICE_ATTEMPTS
from tokensvc.store.notice_delivery import AttemptOutcome, note_attempt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from tokensvc.core.notices.mail_link import Purpose
    from tokensvc.core.sealing import MasterKey
    from tokensvc.issuer.notices.mail import MailSender
    from tokensvc.issuer.notices.webhook import WebhookSender
    from tokensvc.store.notice_delivery import DueDelivery
    from tokensvc.store.notice_endpoint import ClaimedEndpoint
    from tokensvc.store.pool import Database

_NOT_CONFIRMED: Final = AttemptOutcome(is_delivered=False, error="not_confirmed")
# Seconds, and one attempt more: that must fit into the lease, and others wait for it.
_LONGEST_TURN: Final = 5.0


class NoticeSender:
    """Sends notices to receivers and mailboxes.

    `issuer`: the address of this service. `load_master_key` returns what opens the secrets of
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
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._webhook = webhook
        self._mail = mail
        self._issuer = issuer
        self._load_master_key = load_master_key
        self._chance = chance

    async def send(
        self, claimed: ClaimedEndpoint, due: Sequence[DueDelivery]
    ) -> AttemptOutcome | None:
        """Send what is due, and return how the last attempt ended; None if there was none.

        Raises UnavailableError.
        """
        mailbox = find_mail_address(claimed.url)
        if mailbox is not None:
            return await self._send_mail(claimed, mailbox, due)
        return await self._send_all(claimed, due)

    async def close(self) -> None:
        """Close what is open."""
        await self._webhook.close()

    async def _send_all(
        self, claimed: ClaimedEndpoint, due: Sequence[DueDelivery]
    ) -> AttemptOutcome:
        """Send to a receiver until it fails or its turn is over; return the last outcome."""
        began_on = time.monotonic()
        outcome = AttemptOutcome(is_delivered=False, error="secret_not_opened")
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
            if usable:
                # Postgres's clock as it is by now: a receiver refuses what is dated long ago.
                now = one.read_at + timedelta(seconds=elapsed)
                outcome = await self._webhook.send(claimed.url, usable, one.notice, now)
            await self._note([one], outcome)
            if not outcome.is_delivered:
                break
        return outcome

    async def _send_mail(
        self, claimed: ClaimedEndpoint, mailbox: str, due: Sequence[DueDelivery]
    ) -> AttemptOutcome | None:
        """Send what waits in one mail. What asks for a confirmation comes alone.

        A mailbox that is not confirmed (any more) gets nothing else, and what waited is dropped.
        """
        asking = [one for one in due if one.notice.name == CONFIRM]
        sent = asking[:1] or due
        if not asking and claimed.confirmed_at is None:
            async with self._database.connection() as connection:
                ids = [one.id for one in sent]
                await note_attempt(connection, ids, _NOT_CONFIRMED, [None] * len(ids))
            return None
        notices, now = [one.notice for one in sent], sent[0].read_at
        unsubscribe = self._build_link("unsubscribe", claimed, now)
        text = (
            build_confirmation(self._issuer, self._build_link("confirm", claimed, now))
            if asking
            else build_mail(notices, self._issuer, unsubscribe)
        )
        outcome = await self._mail.send(mailbox, build_subject(notices), text, now, unsubscribe)
        await self._note(sent, outcome)
        return outcome

    def _build_link(self, purpose: Purpose, claimed: ClaimedEndpoint, now: datetime) -> str:
        return build_link(
            self._issuer, purpose, claimed.id, claimed.url, now, self._load_master_key()
        )

    async def _note(self, sent: Sequence[DueDelivery], outcome: AttemptOutcome) -> None:
        NOTICE_ATTEMPTS.labels(outcome.error or "delivered").inc(len(sent))
        pauses: list[timedelta | None] = [None] * len(sent)
        if not outcome.is_delivered:
            pauses = [decide_pause(one.attempts + 1, self._chance()) for one in sent]
        async with self._database.connection() as connection:
            await note_attempt(connection, [one.id for one in sent], outcome, pauses)
