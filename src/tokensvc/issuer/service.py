"""A running service: all that a process holds while it serves, opened and closed in order."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tokensvc.core.algorithm import DEFAULT_ALGORITHM
from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.callers import Callers
from tokensvc.issuer.connection_share import ConnectionShare
from tokensvc.issuer.database import check_schema, open_primary
from tokensvc.issuer.exchange.dead_credentials import DeadCredentials
from tokensvc.issuer.exchange.guess_guard import GuessGuard
from tokensvc.issuer.exchange.issuing import Exchange
from tokensvc.issuer.exchange.late_answers import build_flood_answers
from tokensvc.issuer.exchange.ledger import Ledger
from tokensvc.issuer.exchange.slow_lane import SlowLane, find_existing
from tokensvc.issuer.exchange.usage import UsageRecorder
from tokensvc.issuer.holders import Holders
from tokensvc.issuer.mirror.mirror import Mirror
from tokensvc.issuer.notices.runner import build_notice_runner
from tokensvc.issuer.operations.call import Backend, ProcessFacts
from tokensvc.issuer.postgres_clock import MAX_AGE_SECONDS
from tokensvc.issuer.revoking.credentials import HolderRevocations
from tokensvc.issuer.revoking.feed import Feed
from tokensvc.issuer.revoking.introspection import Introspection
from tokensvc.issuer.revoking.receipts import Receipts
from tokensvc.issuer.revoking.watching import watch_copy
from tokensvc.issuer.sign_in import SignIn
from tokensvc.issuer.signing.master_key import load_master_key
from tokensvc.issuer.tasks import run_tasks
from tokensvc.store.ledger import LedgerConnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tokensvc.core.primary import Problem
    from tokensvc.issuer.notices.runner import NoticeRunner
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database

# Anybody may read them, so they do not name the hosts; the log does.
_WARNINGS: Final[dict[Problem, str]] = {
    "old_primary": "only an old primary of the database answers, and it is not used",
    "primary_unclear": "several hosts of the database take writes, and none is used",
    "two_primaries": "several hosts of the database take writes, and the newest is used",
}


@dataclass(slots=True, kw_only=True)
class Service:
    """What the HTTP handlers call."""

    settings: Settings
    database: Database
    mirror: Mirror
    exchange: Exchange
    feed: Feed
    receipts: Receipts
    callers: Callers
    holders: Holders
    backend: Backend
    sign_in: SignIn
    notices: NoticeRunner
    draining: bool = False

    def check_ready(self) -> dict[str, bool]:
        """Return what must hold for requests to be sent here, and whether it does."""
        ledger, postgres_clock = self.exchange.ledger, self.mirror.postgres_clock
        at = postgres_clock.expected_at
        try:
            self.mirror.signers.find(DEFAULT_ALGORITHM, postgres_clock.now)
            signing = True
        except UnavailableError:
            signing = False
        return {
            "serving": not self.draining,
            # Requests are sent elsewhere in good time, before nothing is signed any more.
            "database": postgres_clock.age_seconds < MAX_AGE_SECONDS / 2,
            "signing_key": signing,
            "ledger": ledger.is_answering and postgres_clock.iat_limit.allows(at),
            "clock": not postgres_clock.is_blocked,
        }

    def list_warnings(self) -> list[str]:
        """Return what an operator must look at although traffic may be sent here."""
        problem = self.database.problem
        return [] if problem is None else [_WARNINGS[problem.kind]]

    def look(self) -> ProcessFacts:
        """Return how this process is, for operators."""
        return ProcessFacts(self.check_ready(), self.list_warnings())

    def drain(self) -> None:
        """Say that this process is leaving, and answer the long polls."""
        self.draining = True
        self.mirror.denylist.release()


@asynccontextmanager
async def open_service(settings: Settings, database_url: str) -> AsyncIterator[Service]:
    """Open a service on an initialised database.

    Its background tasks run until the end of the block. Raises StartRefusedError, UnavailableError.
    """
    database = await open_primary(settings, database_url, max_size=settings.pool_size)
    try:
        await check_schema(database)
        master_key = await load_master_key(database, settings)
        mirror = Mirror(database, settings, master_key)
        # No request comes before the copies are there: who signs, and what is revoked.
        await mirror.refresh_once()
        service = _build_service(settings, database, mirror)
        tasks = asyncio.create_task(
            run_tasks(database, settings, service.exchange, service.receipts, service.notices)
        )
        try:
            yield service
        finally:
            # The tasks end first, because they use all that is closed after them.
            tasks.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await tasks
            await service.backend.counts.close()
            await service.notices.close()
            await service.exchange.guard.close()
            await service.exchange.ledger.close()
            await service.holders.close()
            await service.feed.close()
            # It comes last, because what the others have still done is counted there.
            await service.exchange.usage.close()
    finally:
        await database.close()


def _build_service(settings: Settings, database: Database, mirror: Mirror) -> Service:
    ledger = Ledger(LedgerConnection(database), mirror, most_waiting=settings.ledger_queue)
    share = ConnectionShare(settings.pool_size)
    late_answers = build_flood_answers()
    notices = build_notice_runner(database, settings, mirror)
    usage = UsageRecorder(database, notices.watch)
    allowed = settings.unknown_keys_per_minute
    lane = SlowLane(functools.partial(find_existing, database))
    guard = GuessGuard(ledger, lane, late_answers, allowed=allowed)
    dead_credentials = DeadCredentials(late_answers, allowed=allowed)
    introspection = Introspection(
        database=database, mirror=mirror, share=share, issuer=settings.issuer_url
    )
    exchange = Exchange(
        ledger=ledger, mirror=mirror, usage=usage, guard=guard, policy=settings.issuing_policy
    )
    callers = Callers(
        introspection=introspection, guard=guard, dead_credentials=dead_credentials, usage=usage
    )
    revocations = HolderRevocations(database, share)
    backend = _build_backend(settings, database, mirror)
    service = Service(
        settings=settings,
        database=database,
        mirror=mirror,
        exchange=exchange,
        feed=Feed(mirror, settings),
        receipts=Receipts(database, mirror),
        notices=notices,
        callers=callers,
        holders=Holders(settings=settings, mirror=mirror, callers=callers, revocations=revocations),
        backend=backend,
        sign_in=SignIn(callers=callers, exchange=exchange, backend=backend),
    )
    # The backend can look at the service only now, because it was made first.
    service.backend = replace(backend, look=service.look)
    return service


def _build_backend(settings: Settings, database: Database, mirror: Mirror) -> Backend:
    return Backend(
        database=database,
        settings=settings,
        remember=mirror.denylist.remember,
        load_master_key=lambda: mirror.signers.master_key,
        watch=functools.partial(watch_copy, mirror),
    )
