"""Accounts, keys and tokens, made the way the service makes them."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
from typing import TYPE_CHECKING, Any, TypeVar

from testbed.waiting import PATIENCE
from tests import endings
from tests.rows import list_events

from tokensvc.core.actor import Actor
from tokensvc.core.api_key import DEFAULT_PREFIX
from tokensvc.core.audit_event import AuditFilter
from tokensvc.core.errors import UnavailableError
from tokensvc.core.limit import LimitChanges
from tokensvc.core.usage import LastUse
from tokensvc.issuer.admin import accounts, api_keys
from tokensvc.issuer.exchange.guess_guard import GuessGuard
from tokensvc.issuer.exchange.issuing import Exchange
from tokensvc.issuer.exchange.late_answers import LateAnswers
from tokensvc.issuer.exchange.ledger import Ledger
from tokensvc.issuer.exchange.slow_lane import SlowLane, find_existing
from tokensvc.issuer.exchange.usage import UsageRecorder
from tokensvc.issuer.mirror.mirror import Mirror
from tokensvc.issuer.revoking.receipts import list_and_count_followers
from tokensvc.store import usage
from tokensvc.store.key_endings import end_api_keys
from tokensvc.store.ledger import LedgerConnection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence
    from datetime import timedelta

    from tokensvc.core.follower import FollowerRecord
    from tokensvc.core.usage import HourOfUse
    from tokensvc.issuer.admin.api_keys import NewKey
    from tokensvc.issuer.postgres_clock import PostgresClock
    from tokensvc.issuer.revoking.feed import SignedPage
    from tokensvc.issuer.start import Started
    from tokensvc.settings import Settings
    from tokensvc.store.key_endings import EndedKey
    from tokensvc.store.pool import Database

T = TypeVar("T")
ACTOR = Actor(name="test")
PATIENT = 60.0  # seconds that the ledger waits for a row: as long as its question may take
READ_WRITE = ("orders:read", "orders:write")


async def make_key(
    database: Database,
    *,
    account: str | None = None,
    capabilities: Collection[str] = READ_WRITE,
    name: str = "ci",
    life: timedelta | None = None,
    per_minute: int | None = None,
    **terms: Any,
) -> NewKey:
    """Make a key, with an account of its own unless one is given.

    `per_minute`: the limit of the key, and of the account if that is made here. `terms`: what else
    it should be.
    """
    limits = LimitChanges()
    if per_minute is not None:
        limits = LimitChanges(per_minute=per_minute, per_day=1_000_000_000)
    if account is None:
        account = (await accounts.create_account(database, "Orders", actor=ACTOR)).id
        if per_minute is not None:
            await accounts.update_account(database, account, limits=limits, actor=ACTOR)
    wish = api_keys.KeyWish(name=name, capabilities=capabilities, life=life, limits=limits, **terms)
    return await api_keys.create_key(database, account, wish, prefix=DEFAULT_PREFIX, actor=ACTOR)


async def revoke_keys(database: Database, key_ids: Sequence[str]) -> list[EndedKey]:
    """Revoke keys in one act."""
    async with database.act() as connection:
        return await end_api_keys(
            connection, "key_revoked", key_ids=key_ids, actor=ACTOR, detail={}
        )


async def open_exchange(
    database: Database,
    settings: Settings,
    started: Started,
    postgres_clock: PostgresClock | None = None,
    *,
    lock_seconds: float = 0.5,
) -> Exchange:
    """The exchange in this process, without HTTP.

    The caller closes its ledger. Its copies are read once, here.
    """
    mirror = Mirror(database, settings, started.master_key, postgres_clock=postgres_clock)
    await mirror.refresh_once()
    connection = LedgerConnection(database, lock_seconds=lock_seconds)
    ledger = Ledger(connection, mirror, most_waiting=settings.ledger_queue)
    return Exchange(
        ledger=ledger,
        mirror=mirror,
        usage=UsageRecorder(database),
        guard=make_guard(database, ledger),
        policy=settings.issuing_policy,
    )


def make_guard(database: Database, ledger: Ledger) -> GuessGuard:
    """Return a guard that suspects nobody."""
    lane = SlowLane(functools.partial(find_existing, database))
    return GuessGuard(ledger, lane, LateAnswers(), allowed=1_000_000)


async def make_refused_keys(
    database: Database, connection: Any, capabilities: Collection[str] = READ_WRITE
) -> dict[str, NewKey]:
    """Make one key for each reason to refuse it; `connection` ages the expired one."""
    keys = {
        reason: await make_key(database, name=reason, capabilities=capabilities)
        for reason in ("disabled", "revoked", "expired", "suspended", "deleted")
    }
    ids = {reason: key.listed.record.id for reason, key in keys.items()}
    await endings.disable_key(database, ids["disabled"], actor=ACTOR)
    await endings.revoke_key(database, ids["revoked"], actor=ACTOR)
    await endings.delete_key(database, ids["deleted"], actor=ACTOR)
    await connection.execute(
        "update api_key set expires_at = clock_timestamp() where id = $1", ids["expired"]
    )
    await endings.suspend_account(database, keys["suspended"].listed.record.account_id, actor=ACTOR)
    return keys


async def patiently(act: Callable[..., Awaitable[T]]) -> T:
    """Repeat what Postgres could not do in time, as a client is told to; return its result."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await act()
            except UnavailableError:
                await asyncio.sleep(0.01)


async def list_acts(database: Database, subject: str) -> list[str]:
    """Return the actions that the audit trail has of a subject, oldest first."""
    events = await list_events(database, AuditFilter(subject=subject), most=50)
    return [event.operation for event in reversed(events)]


async def list_followers(database: Database) -> list[FollowerRecord]:
    """Return the followers that were heard of in the last hour."""
    followers, _ = await list_and_count_followers(database)
    return followers


async def read_use(database: Database, key_id: str) -> tuple[list[HourOfUse], LastUse | None]:
    """Return the counts of a key's last day, and its last use."""
    async with database.connection() as connection:
        yesterday = await connection.fetchval("select clock_timestamp() - interval '1 day'")
        hours = await usage.list_usage(connection, key_id, yesterday)
        row = await connection.fetchrow(
            "select extract(epoch from at)::bigint, network, audience from api_key_last_use"
            " where key_id = $1",
            key_id,
        )
        return hours, None if row is None else LastUse(*row)


async def age_signing_keys(connection: Any, by: timedelta) -> None:
    """Let all signing keys look older than they are."""
    await connection.execute(
        "update signing_key"
        " set created_at = created_at - $1::interval, active_at = active_at - $1::interval",
        by,
    )


def read_payload(jws: str) -> dict[str, Any]:
    """Return the payload of a compact JWS, unverified."""
    return _part(jws, 1)


def read_page(signed: SignedPage) -> dict[str, Any]:
    """Return the payload of a page of the feed, unverified."""
    return read_payload(signed.unzip().decode())


def read_header(jws: str) -> dict[str, Any]:
    """Return the header of a compact JWS, unverified."""
    return _part(jws, 0)


def _part(jws: str, index: int) -> dict[str, Any]:
    part = jws.split(".")[index]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return decoded
