"""Limits: how many tokens a key, and all keys of an account together, may get in a minute and in a day (UTC).

Postgres counts and admits (`sql/functions/judge_exchanges.sql`); here is what its answer means to the client. Windows are fixed: a minute
begins with its first second, a day at midnight UTC. A named set of limits is a tier.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tokensvc.core.errors import InvalidInputError

if TYPE_CHECKING:
    from datetime import datetime

LimitName = Literal["key-minute", "key-day", "account-minute", "account-day"]

DEFAULT_TIER: Final = "default"
MAX_LIMIT: Final = 1_000_000_000
ACCOUNT_FACTOR: Final = (
    10  # an account may do ten times what one of its keys may, unless told otherwise
)
MINUTE: Final = 60
DAY: Final = 86400

_TIER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """A named set of limits, each a number of tokens."""

    name: str
    description: str
    key_per_minute: int
    key_per_day: int
    account_per_minute: int
    account_per_day: int
    created_at: datetime

    @property
    def limits(self) -> TierLimits:
        """Its numbers."""
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
    """How an account or a key is limited. None: as its tier says; a key without a tier has its account's."""

    tier: str | None = None
    per_minute: int | None = None
    per_day: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChanges:
    """What to change of `Limits`: None leaves it, an empty tier and a limit of zero inherit again."""

    tier: str | None = None
    per_minute: int | None = None
    per_day: int | None = None


class Quota(NamedTuple):
    """The limits that hold for a key, and what is left of them. A tuple, because one is made for each exchange."""

    key_per_minute: int
    key_per_day: int
    account_per_minute: int
    account_per_day: int
    key_minute_left: int
    key_day_left: int
    account_minute_left: int
    account_day_left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a key stands with one of its limits: how many tokens, in how many seconds, how many are left until it starts anew."""

    name: LimitName
    limit: int
    window: int
    left: int
    resets_in: int


def parse_tier_name(text: str) -> str:
    """Return `text` if it can name a tier."""
    if not _TIER_NAME.fullmatch(text):
        raise InvalidInputError(
            f"a tier is named with 1 to 40 letters, digits and . _ - (like free or plan-2), not {text[:80]!r}"
        )
    return text


def change_limits(limits: Limits, changes: LimitChanges) -> Limits:
    """Return what `limits` become. Raises InvalidInputError."""
    return Limits(
        tier=limits.tier if changes.tier is None else changes.tier or None,
        per_minute=_change(limits.per_minute, changes.per_minute),
        per_day=_change(limits.per_day, changes.per_day),
    )


def _change(limit: int | None, change: int | None) -> int | None:
    if change is None:
        return limit
    return None if change == 0 else check_limit(change)


def check_limit(limit: int) -> int:
    """Return `limit` if it can be one."""
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidInputError(
            f"a limit must lie between 1 and {MAX_LIMIT}; to let nothing through, disable the key or suspend the account"
        )
    return limit


def seconds_left(length: int, now: datetime) -> int:
    """Return how many seconds the window of `length` seconds that `now` lies in still has: at least 1, rounded up."""
    return length - int(now.timestamp()) % length


def find_tightest(quota: Quota, now: datetime) -> Standing:
    """Return the limit of which least is left; of several, the one that starts anew last."""
    standings = (
        Standing(
            name="key-minute",
            limit=quota[0],
            window=MINUTE,
            left=quota[4],
            resets_in=seconds_left(MINUTE, now),
        ),
        Standing(
            name="key-day",
            limit=quota[1],
            window=DAY,
            left=quota[5],
            resets_in=seconds_left(DAY, now),
        ),
        Standing(
            name="account-minute",
            limit=quota[2],
            window=MINUTE,
            left=quota[6],
            resets_in=seconds_left(MINUTE, now),
        ),
        Standing(
            name="account-day",
            limit=quota[3],
            window=DAY,
            left=quota[7],
            resets_in=seconds_left(DAY, now),
        ),
    )
    return min(standings, key=lambda standing: (standing.left, -standing.resets_in))
