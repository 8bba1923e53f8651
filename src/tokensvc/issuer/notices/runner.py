"""What a process holds to notice and to deliver, and what it does from time to time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from tokensvc.issuer.cleaning import delete_in_steps
from tokensvc.issuer.notices.checks import (
    check_ages_once,
    check_followers_once,
    clean_notices_once,
    tell_went_back,
)
from tokensvc.issuer.notices.dispatch import Dispatcher
from tokensvc.issuer.notices.mail import MailSender
from tokensvc.issuer.notices.resolving import Resolver
from tokensvc.issuer.notices.sending import NoticeSender
from tokensvc.issuer.notices.usage_watch import UsageWatch
from tokensvc.issuer.notices.webhook import WebhookSender
from tokensvc.store.api_key_network import delete_networks

if TYPE_CHECKING:
    from tokensvc.issuer.mirror.mirror import Mirror
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database


@dataclass(slots=True, kw_only=True)
class NoticeRunner:
    """The parts of a process that are about notices."""

    database: Database
    settings: Settings
    mirror: Mirror
    watch: UsageWatch
    dispatcher: Dispatcher
    resolver: Resolver
    told_resets: int = field(default=0)

    async def check_use(self) -> None:
        """Tell what the use of keys shows."""
        await self.watch.check_once()

    async def check_rest(self) -> None:
        """Tell of ages, laggards and a denylist that went back, and measure what waits."""
        resets = self.mirror.denylist.resets
        if resets > self.told_resets:
            await tell_went_back(self.database)
            self.told_resets = resets
        now = self.mirror.postgres_clock.collectable_at
        if now is not None:
            await check_followers_once(self.database)
            await check_ages_once(self.database, self.settings, now)
        await self.dispatcher.measure_once()

    async def clean(self) -> None:
        """Delete what is old, and learn again where keys are used."""
        self.watch.forget_places()
        collectable_at = self.mirror.postgres_clock.collectable_at
        if collectable_at is not None:
            await clean_notices_once(self.database, collectable_at)
            before = collectable_at - timedelta(days=self.settings.usage_days)
            await delete_in_steps(self.database, delete_networks, before)

    async def close(self) -> None:
        """Stop delivering."""
        await self.dispatcher.close()
        self.resolver.close()


def build_notice_runner(database: Database, settings: Settings, mirror: Mirror) -> NoticeRunner:
    """Return what a process needs for notices."""
    resolver = Resolver()
    sender = NoticeSender(
        database,
        WebhookSender(resolver, allowed=settings.notice_networks),
        MailSender(settings),
        issuer=settings.issuer_url,
        load_master_key=lambda: mirror.signers.master_key,
    )
    return NoticeRunner(
        database=database,
        settings=settings,
        mirror=mirror,
        watch=UsageWatch(database),
        dispatcher=Dispatcher(database, sender),
        resolver=resolver,
    )
