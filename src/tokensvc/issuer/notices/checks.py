"""Events that nobody causes: keys that age, followers that lag, a denylist that went back."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tokensvc.core.notices.event import NewNotice
from tokensvc.core.notices.watching import EXPIRY_THRESHOLDS, IDLE_AFTER, decide_expiry
from tokensvc.issuer.cleaning import MOST_AT_ONCE, delete_in_steps
from tokensvc.issuer.notices.outbox import append_in_steps
from tokensvc.issuer.signing.listing import list_signing_keys_with_phase
from tokensvc.logs.logger import get_logger
from tokensvc.store.follower import list_followers
from tokensvc.store.notice_endpoint import delete_endpoints
from tokensvc.store.notice_event import claim_check, complete_check, delete_notices
from tokensvc.store.notice_facts import (
    find_accounts_of,
    list_idle,
    load_clock,
    read_expiring,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tokensvc.settings import Settings
    from tokensvc.store.notice_facts import ExpiringKey, IdleKey
    from tokensvc.store.pool import Database

KEPT_FOR: Final = timedelta(days=30)

_PAUSE: Final = timedelta(minutes=55)  # less than an hour, so that no hour is left out
_READ_AT_ONCE: Final = 500
_MOST_IDLE: Final = 1000  # in one round; the others are told of in the next ones
_OVERDUE_AFTER: Final = timedelta(days=1)
_LAGGING_SECONDS: Final = 60.0

_log = get_logger(__name__)


async def check_ages_once(
    database: Database, settings: Settings, now: datetime, *, pause: timedelta = _PAUSE
) -> None:
    """Tell of keys that expire or are idle, and of overdue signing keys.

    `now` is a moment that has come by all clocks: of a key that is idle by it, nobody is told again
    for a month. Of all processes one does it, `pause` after the last time. If it fails, it is done
    again at the next tick, and nothing is told twice. Raises UnavailableError.
    """
    async with database.connection() as connection:
        if not await claim_check(connection, pause):
            return
        expiring = [
            notice
            async for keys in read_expiring(connection, max(EXPIRY_THRESHOLDS), _READ_AT_ONCE)
            for notice in _build_expiring_notices(keys)
        ]
    await append_in_steps(database, expiring)
    await append_in_steps(database, await _build_overdue_notices(database, settings))
    async with database.connection() as connection:
        idle = await list_idle(connection, now - IDLE_AFTER, _MOST_IDLE)
    await append_in_steps(database, [_build_idle_notice(key) for key in idle])
    async with database.connection() as connection:
        await complete_check(connection)


async def check_followers_once(database: Database) -> None:
    """Tell of followers that prove their names and lag. Raises UnavailableError."""
    async with database.connection() as connection:
        lagging = [
            follower
            for follower in await list_followers(connection, most_unproved=0)
            if follower.authenticated
            and follower.state == "lagging"
            and follower.lag_seconds > _LAGGING_SECONDS
        ]
        accounts = await find_accounts_of(connection, [one.id.key_id for one in lagging])
    await append_in_steps(
        database,
        [
            NewNotice(
                name="follower.lagging",
                subject=str(one.id),
                account_id=accounts.get(one.id.key_id),
                detail={"lag_seconds": int(one.lag_seconds), "applied": one.seq},
                # The text has the hour, and one event is kept for each text: once an hour.
                once=f"follower.lagging {one.id} {one.at:%Y-%m-%dT%H}",
            )
            for one in lagging
        ],
    )


async def tell_went_back(database: Database) -> None:
    """Tell that the denylist went back: once an hour, however many processes have noticed it.

    Raises UnavailableError.
    """
    async with database.connection() as connection:
        now = await load_clock(connection)
    notice = NewNotice(
        name="denylist.went_back",
        subject="denylist",
        account_id=None,
        detail={},
        once=f"denylist.went_back {now:%Y-%m-%dT%H}",
    )
    await append_in_steps(database, [notice])


async def clean_notices_once(
    database: Database, now: datetime, *, at_once: int = MOST_AT_ONCE
) -> int:
    """Delete events that are older than 30 days, `at_once` by `at_once`; return how many.

    Their deliveries go with them, and endpoints that were deleted as long ago. Raises
    UnavailableError.
    """
    total = await delete_in_steps(database, delete_notices, now - KEPT_FOR, at_once=at_once)
    async with database.connection() as connection:
        await delete_endpoints(connection, now - KEPT_FOR)
    if total:
        _log.info("notices_cleaned", notices=total)
    return total


def _build_expiring_notices(keys: Iterable[ExpiringKey]) -> list[NewNotice]:
    notices = []
    for key in keys:
        days = decide_expiry(key.created_at, key.expires_at, key.at)
        if days is not None:
            expires_at = key.expires_at.isoformat()
            notices.append(
                NewNotice(
                    name="key.expiring",
                    subject=key.id,
                    account_id=key.account_id,
                    detail={
                        "name": key.name, "hint": key.hint, "expires_at": expires_at, "days": days,
                    },
                    once=f"key.expiring {key.id} {days} {expires_at}",
                )
            )  # fmt: skip
    return notices


def _build_idle_notice(key: IdleKey) -> NewNotice:
    used = None if key.last_used_at is None else key.last_used_at.isoformat()
    return NewNotice(
        name="key.idle",
        subject=key.id,
        account_id=key.account_id,
        detail={"name": key.name, "hint": key.hint, "last_used_at": used},
        once=f"key.idle {key.id}",
    )


async def _build_overdue_notices(database: Database, settings: Settings) -> list[NewNotice]:
    limit = settings.rotation_period + _OVERDUE_AFTER.total_seconds()
    return [
        NewNotice(
            name="signing_key.overdue",
            subject=key.record.kid,
            account_id=None,
            detail={"age_seconds": key.age_seconds, "alg": key.record.alg},
            once=f"signing_key.overdue {key.record.kid}",
        )
        for key in await list_signing_keys_with_phase(database, settings)
        if key.phase == "active" and key.active_seconds > limit
    ]
