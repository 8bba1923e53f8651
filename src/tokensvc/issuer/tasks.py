"""What runs in the background of every process.

The loops here only tick; each calls a function that does its work once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tokensvc.core.actor import Actor
from tokensvc.core.errors import TokensvcError
from tokensvc.issuer.admin.key_life import disable_idle_keys_once
from tokensvc.issuer.cleaning import (
    clean_addresses_once,
    clean_denylist_once,
    clean_usage_once,
    delete_in_steps,
)
from tokensvc.issuer.gauges import Gauges
from tokensvc.issuer.operations.idempotency import clean_requests_once
from tokensvc.issuer.signing.rotation import rotate_all_once
from tokensvc.logs.logger import get_logger
from tokensvc.store.call_window import delete_call_windows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tokensvc.issuer.exchange.issuing import Exchange
    from tokensvc.issuer.mirror.mirror import Mirror
    from tokensvc.issuer.notices.runner import NoticeRunner
    from tokensvc.issuer.revoking.receipts import Receipts
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database

# Seconds between two rounds.
LEDGER_TICK: Final = 1.0
ROTATION_TICK: Final = 10.0
CLEANING_TICK: Final = 30.0
USAGE_TICK: Final = 5.0
RECEIPTS_TICK: Final = 0.25
USAGE_CLEANING_TICK: Final = 600.0
CALLS_CLEANING_TICK: Final = 60.0
IDLE_KEYS_TICK: Final = 600.0
HOSTS_TICK: Final = 3.0
NOTICES_TICK: Final = 1.0
NOTICED_USE_TICK: Final = 30.0
NOTICED_REST_TICK: Final = 30.0
NOTICES_CLEANING_TICK: Final = 3600.0
GAUGES_TICK: Final = 1.0
QUEUE_TICK: Final = 15.0

_ROTATION: Final = Actor(name="rotation")

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Cleaning:
    """Deletes what is over, and disables what nobody uses.

    Nothing of that is done while the clocks disagree.
    """

    database: Database
    settings: Settings
    mirror: Mirror

    async def clean_denylist(self) -> None:
        """Delete revocations whose last token has expired for everybody."""
        collectable_at = self.mirror.postgres_clock.collectable_at
        if collectable_at is not None:
            await clean_denylist_once(self.database, collectable_at)

    async def clean_calls(self) -> None:
        """Delete the answers that are kept for repeats, and the counts of calls."""
        collectable_at = self.mirror.postgres_clock.collectable_at
        if collectable_at is not None:
            await clean_requests_once(self.database, collectable_at)
            before = collectable_at - timedelta(hours=1)
            await delete_in_steps(self.database, delete_call_windows, before)

    async def clean_usage(self) -> None:
        """Delete usage and addresses that are older than the settings want."""
        collectable_at = self.mirror.postgres_clock.collectable_at
        if collectable_at is None:
            return
        keep = timedelta(days=self.settings.usage_days)
        await clean_usage_once(self.database, collectable_at - keep)
        if self.settings.address_days is not None:
            before = collectable_at - timedelta(days=self.settings.address_days)
            await clean_addresses_once(self.database, before)

    async def disable_idle_keys(self) -> None:
        """Disable the keys that nobody has used for as long as the settings say."""
        days, now = self.settings.idle_key_days, self.mirror.postgres_clock.collectable_at
        if days is not None and now is not None:
            idle_for, remember = timedelta(days=days), self.mirror.denylist.remember
            await disable_idle_keys_once(self.database, now, remember, idle_for=idle_for)


async def run_tasks(
    database: Database,
    settings: Settings,
    exchange: Exchange,
    receipts: Receipts,
    notices: NoticeRunner,
) -> None:
    """Run the mirror and all tasks until cancelled."""
    mirror = exchange.mirror
    cleaning, gauges = Cleaning(database, settings, mirror), Gauges(database, mirror)

    async def rotate() -> None:
        # A wrong clock does not tell when keys are due.
        if not mirror.postgres_clock.is_blocked:
            await rotate_all_once(database, settings, mirror.signers.master_key, actor=_ROTATION)

    async def write_usage() -> None:
        await exchange.usage.flush_once(within=USAGE_TICK)

    async with asyncio.TaskGroup() as group:
        group.create_task(mirror.run())
        group.create_task(_every(LEDGER_TICK, exchange.ledger.probe_once))
        group.create_task(_every(ROTATION_TICK, rotate))
        group.create_task(_every(CLEANING_TICK, cleaning.clean_denylist))
        group.create_task(_every(USAGE_TICK, write_usage))
        group.create_task(_every(RECEIPTS_TICK, receipts.flush_once))
        group.create_task(_every(CLEANING_TICK, receipts.clean_once))
        group.create_task(_every(USAGE_CLEANING_TICK, cleaning.clean_usage))
        group.create_task(_every(CALLS_CLEANING_TICK, cleaning.clean_calls))
        group.create_task(_every(IDLE_KEYS_TICK, cleaning.disable_idle_keys))
        group.create_task(_every(NOTICES_TICK, notices.dispatcher.work_once))
        group.create_task(_every(NOTICED_USE_TICK, notices.check_use))
        group.create_task(_every(NOTICED_REST_TICK, notices.check_rest))
        group.create_task(_every(NOTICES_CLEANING_TICK, notices.clean))
        group.create_task(_every(HOSTS_TICK, database.watch_hosts_once))
        group.create_task(_every(GAUGES_TICK, gauges.set_once))
        group.create_task(_every(QUEUE_TICK, gauges.ask_for_queue_once))


async def _every(seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await act()
        except TokensvcError as error:
            _log.warning("background_task_failed", task=act.__name__, reason=error.reason)
        except Exception:  # noqa: BLE001 - a fault of ours: logged, and tried again next time
            _log.exception("background_task_failed", task=act.__name__)
