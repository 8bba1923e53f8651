"""A running service: all that a process holds while it serves, opened and closed in order."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tokensvc.core.algorithm import DEFAULT_ALGORITHM
from tokensvc.core.api_key import parse_api_key
from tokensvc.core.errors import InvalidClientError, InvalidTokenError, UnavailableError
from tokensvc.core.keyring import LEEWAY
from tokensvc.core.token import parse_unverified
from tokensvc.issuer.callers import Callers
from tokensvc.issuer.connection_share import ConnectionShare
from tokensvc.issuer.database import check_schema, open_primary
from tokensvc.issuer.exchange.dead_credentials import DeadCredentials
from tokensvc.issuer.exchange.guess_guard import GuessGuard
from tokensvc.issuer.exchange.issuing import Exchange
from tokensvc.issuer.exchange.late_answers import LATE_SPREAD, LATE_STRETCH, LateAnswers
from tokensvc.issuer.exchange.ledger import Ledger
from tokensvc.issuer.exchange.slow_lane import SlowLane, find_existing
from tokensvc.issuer.exchange.usage import UsageRecorder
from tokensvc.issuer.mirror.mirror import Mirror
from tokensvc.issuer.notices.runner import build_notice_runner
from tokensvc.issuer.operations.call import Backend, ProcessFacts
from tokensvc.issuer.postgres_clock import MAX_AGE_SECONDS
from tokensvc.issuer.revoking.credentials import (
    HOLDER,
    CredentialKind,
    HolderRevocations,
    revoke_credential,
)
from tokensvc.issuer.revoking.feed import Feed
from tokensvc.issuer.revoking.introspection import Introspection
from tokensvc.issuer.revoking.receipts import Receipts
from tokensvc.issuer.revoking.watching import watch_copy
from tokensvc.issuer.sign_in import SignIn
from tokensvc.issuer.signing.master_key import load_master_key
from tokensvc.issuer.tasks import run_tasks
from tokensvc.logs.logger import get_logger
from tokensvc.store.ledger import LedgerConnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tokensvc.core.actor import Actor
    from tokensvc.core.claims import Claims
    from tokensvc.core.keyring import SigningKeyRecord
    from tokensvc.core.primary import Problem
    from tokensvc.issuer.notices.runner import NoticeRunner
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database

_NOTHING: Final[tuple[CredentialKind, str | None]] = ("nothing", None)
# Anybody may read them, so they do not name the hosts; the log does.
_WARNINGS: Final[dict[Problem, str]] = {
    "old_primary": "only an old primary of the database answers, and it is not used",
    "primary_unclear": "several hosts of the database take writes, and none is used",
    "two_primaries": "several hosts of the database take writes, and the newest is used",
}

_log = get_logger(__name__)


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
    revocations: HolderRevocations
    backend: Backend
    sign_in: SignIn
    notices: NoticeRunner
    draining: bool = False

    async def revoke(
        self, text: str, network: str, holder: Actor = HOLDER
    ) -> tuple[CredentialKind, str | None]:
        """Revoke the token or API key that its holder shows; return its kind and public id.

        `network`: where the holder is. `holder`: what is known of them, for the audit trail. Raises
        RateLimitedError, UnavailableError.
        """
        digest = hashlib.sha256(text.encode()).digest()
        await self.callers.dead_credentials.check(digest, network)
        is_key = self._is_key(text)
        if is_key:
            kind, public_id = await self.exchange.guard.ask(
                digest, network, lambda: self._revoke(text, holder), otherwise=_NOTHING
            )
            self.exchange.guard.forget(digest)
        else:
            kind, public_id = await self._revoke(text, holder)
            if kind == "nothing":
                await self.exchange.guard.hold(network)
        if is_key or _is_token(text):  # junk is not remembered: there is no end to it
            self.callers.dead_credentials.note(digest)  # it was dead before, or it is now
        if kind == "nothing":
            self.exchange.guard.note_refused(network)
        return kind, public_id

    def _is_key(self, text: str) -> bool:
        try:
            parse_api_key(text, self.settings.key_prefix)
        except InvalidClientError:
            return False
        return True

    async def _revoke(self, text: str, holder: Actor) -> tuple[CredentialKind, str | None]:
        signing_keys: Sequence[SigningKeyRecord] = ()
        if "." in text:  # a token: no API key holds a dot
            try:
                kid = parse_unverified(text).kid
            except InvalidTokenError:
                return _NOTHING
            signing_keys = await self.callers.introspection.find_signing_keys(kid)
        revoked = await revoke_credential(
            self.revocations,
            self.settings,
            text,
            now=self.mirror.postgres_clock.now,
            signing_keys=signing_keys,
            # Whichever clock is wrong, a token that may be live is revoked.
            leeway=LEEWAY + self.mirror.postgres_clock.doubt,
            holder=self.settings.keep_address(holder),
        )
        self.mirror.denylist.remember(revoked.records)
        return revoked.kind, revoked.id

    async def introspect(self, text: str) -> Claims | None:
        """Return the claims of a live token of ours, None for everything else.

        Raises UnavailableError.
        """
        try:
            return await self.callers.introspection.check(text)
        except InvalidTokenError as error:
            _log.debug("introspection_of_no_live_token", reason=error.reason)
            return None

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


def _is_token(text: str) -> bool:
    try:
        parse_unverified(text)
    except InvalidTokenError:
        return False
    return True


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
        await mirror.refresh_once()
        service = _build_service(settings, database, mirror)
        ledger, usage = service.exchange.ledger, service.exchange.usage
        tasks = asyncio.create_task(
            run_tasks(
                database,
                settings,
                master_key,
                mirror,
                ledger,
                usage,
                service.receipts,
                service.notices,
            )
        )
        try:
            yield service
        finally:
            tasks.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await tasks
            await service.backend.counts.close()
            await service.notices.close()
            await service.exchange.guard.close()
            await ledger.close()
            await service.revocations.close()
            await service.feed.close()
            await usage.close()
    finally:
        await database.close()


def _build_service(settings: Settings, database: Database, mirror: Mirror) -> Service:
    ledger = Ledger(LedgerConnection(database), mirror, most_waiting=settings.ledger_queue)
    share = ConnectionShare(settings.pool_size)
    late_answers = LateAnswers(spread=LATE_SPREAD, stretch=LATE_STRETCH)
    notices = build_notice_runner(database, settings, mirror)
    usage = UsageRecorder(database, notices.watch)
    guard = GuessGuard(
        ledger,
        SlowLane(functools.partial(find_existing, database)),
        late_answers,
        allowed=settings.unknown_keys_per_minute,
    )
    dead_credentials = DeadCredentials(late_answers, allowed=settings.unknown_keys_per_minute)
    introspection = Introspection(
        database=database, mirror=mirror, share=share, issuer=settings.issuer_url
    )
    exchange = Exchange(
        ledger=ledger, mirror=mirror, usage=usage, guard=guard, policy=settings.issuing_policy
    )
    callers = Callers(
        introspection=introspection, guard=guard, dead_credentials=dead_credentials, usage=usage
    )
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
        revocations=HolderRevocations(database, share),
        backend=backend,
        sign_in=SignIn(callers=callers, exchange=exchange, backend=backend),
    )
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
