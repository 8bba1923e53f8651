"""Limits: how many tokens a key may get in a minute and in a day, and all keys of an account.

Postgres counts and admits (`sql/functions/judge_exchanges_2.sql`); here is what its answer means to
the client. Windows are fixed: a minute begins with its first second, a day at midnight UTC. A named
set of limits is a tier.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tokensvc.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

LimitName = Literal["key-minute", "key-day", "account-minute", "account-day", "calls-minute"]

DEFAULT_TIER: Final = "default"
# Limits and counts are 32-bit integers in Postgres, and end at 2,147,483,647.
MAX_LIMIT: Final = 1_000_000_000
# The limits of an account are so many times those of one key, unless a tier says otherwise.
ACCOUNT_FACTOR: Final = 10
MINUTE: Final = 60  # seconds
DAY: Final = 86400

TIER_NAME_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}"
_TIER_NAME: Final = re.compile(TIER_NAME_PATTERN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A named set of limits. Each is a number of tokens."""

    name: str
    description: str
    key_per_minute: int
    key_per_day: int
    account_per_minute: int
    account_per_day: int
    created_at: datetime

    @property
    def limits(self) -> TierLimits:
        """Its numbers alone."""
        return TierLimits(
            self.key_per_minute, self.key_per_day, self.account_per_minute, self.account_per_day
        )


class TierLimits(NamedTuple):
    """The numbers of a tier."""

    key_per_minute: int
    key_per_day: int
    account_per_minute: int
    account_per_day: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How an account or a key is limited, in tokens.

    None means what the tier says. A key without a tier has that of its account.
    """

    tier: str | None = None
    per_minute: int | None = None
    per_day: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChanges:
    """What to change of `Limits`. None leaves a value as it is.

    An empty tier or a limit of zero takes the value away, so that it is inherited again.
    """

    tier: str | None = None
    per_minute: int | None = None
    per_day: int | None = None


NO_LIMITS: Final = Limits()


class Quota(NamedTuple):
    """The limits of a key and of its account, and how many tokens are left of each.

    The order is that of the columns in Postgres's answer. This is a tuple, because one is made for
    each exchange.
    """

    key_per_minute: int
    key_per_day: int
    account_per_minute: int
    account_per_day: int
    key_minute_left: int
    key_day_left: int
    account_minute_left: int
    account_day_left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitStatus:
    """Where a key stands with one of its limits.

    It may get `limit` tokens, or call so many operations, in a window of `window` seconds. `left`
    of them are left for the `resets_in` seconds until the next window begins.
    """

    name: LimitName
    limit: int
    window: int
    left: int
    resets_in: int


def parse_tier_name(text: str) -> str:
    """Return `text` if it can name a tier. Raises InvalidInputError."""
    if not _TIER_NAME.fullmatch(text):
        raise InvalidInputError(
            "a tier is named with 1 to 40 letters, digits and . _ - "
            f"(like free or plan-2), not {text[:80]!r}"
        )
    return text


def change_limits(limits: Limits, changes: LimitChanges) -> Limits:
    """Return what `limits` become. Raises InvalidInputError."""
    return Limits(
        tier=limits.tier if changes.tier is None else changes.tier or None,
        per_minute=_change(limits.per_minute, changes.per_minute),
        per_day=_change(limits.per_day, changes.per_day),
    )


def check_limit(limit: int) -> int:
    """Return `limit` if it can be one. Raises InvalidInputError."""
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidInputError(
            f"a limit must lie between 1 and {MAX_LIMIT}; "
            "to let nothing through, disable the key or suspend the account"
        )
    return limit


def seconds_left(length: int, now: datetime, *, inside: datetime | None = None) -> int:
    """Return for how many seconds from `now` a window goes on: rounded up, 1 or more.

    `length`: how many seconds such a window has, MINUTE or DAY. `inside`: a moment of that window,
    `now` by default.
    """
    begun = int((now if inside is None else inside).timestamp()) // length * length
    return begun + length - int(now.timestamp())


def find_tightest(
    quota: Quota, now: datetime, ahead: Sequence[datetime] | None = None
) -> LimitStatus:
    """Return the limit of which least is left; of several, the one whose next window is latest.

    `ahead` is as in `list_statuses`.
    """
    statuses = list_statuses(quota, now, ahead)
    return min(statuses, key=lambda status: (status.left, -status.resets_in))


def list_statuses(
    quota: Quota, now: datetime, ahead: Sequence[datetime] | None = None
) -> list[LimitStatus]:
    """Return where a key stands with each of its limits.

    `ahead`: when the windows that count began, in the order of the limits, if one of them began
    later than `now`; None if `now` lies in all of them.
    """
    # A window that began later than `now` goes on from its own begin, and the others from `now`.
    begun_at = (now,) * 4 if ahead is None else [max(now, began_at) for began_at in ahead]
    limits: tuple[tuple[LimitName, int, int, int], ...] = (
        ("key-minute", quota.key_per_minute, quota.key_minute_left, MINUTE),
        ("key-day", quota.key_per_day, quota.key_day_left, DAY),
        ("account-minute", quota.account_per_minute, quota.account_minute_left, MINUTE),
        ("account-day", quota.account_per_day, quota.account_day_left, DAY),
    )
    return [
        LimitStatus(
            name=name,
            limit=limit,
            window=window,
            left=left,
            resets_in=seconds_left(window, now, inside=inside),
        )
        for (name, limit, left, window), inside in zip(limits, begun_at, strict=True)
    ]


def _change(limit: int | None, change: int | None) -> int | None:
    if change is None:
        return limit
    return None if change == 0 else check_limit(change)
