from __future__ import annotations

from datetime import timedelta

import pytest
from tests.factories import NOW

from tokensvc.core.errors import InvalidInputError
from tokensvc.core.limit import (
    DAY,
    MINUTE,
    LimitChanges,
    Limits,
    LimitStatus,
    Quota,
    Tier,
    TierLimits,
    change_limits,
    check_limit,
    find_tightest,
    parse_tier_name,
    seconds_left,
)


@pytest.mark.parametrize("text", ["default", "free", "plan-2", "A.b_c", "x" * 40])
def test_a_tier_has_a_plain_name(text):
    assert parse_tier_name(text) == text


@pytest.mark.parametrize("text", ["", "x" * 41, "-x", "a b", "a/b", "naïve", "a\n"])
def test_a_tier_with_another_name_is_refused(text):
    with pytest.raises(InvalidInputError, match="a tier is named with"):
        parse_tier_name(text)


@pytest.mark.parametrize("limit", [1, 60, 1_000_000_000])
def test_a_limit_is_a_number_of_tokens(limit):
    assert check_limit(limit) == limit


@pytest.mark.parametrize("limit", [0, -1, 1_000_000_001])
def test_a_limit_that_lets_nothing_or_everything_through_is_refused(limit):
    with pytest.raises(InvalidInputError, match="between 1 and 1000000000"):
        check_limit(limit)


@pytest.mark.parametrize(
    ("offset", "minute", "day"),
    [
        (timedelta(), 60, 43200),
        (timedelta(milliseconds=1), 60, 43200),
        (timedelta(milliseconds=999), 60, 43200),
        (timedelta(seconds=1), 59, 43199),
        (timedelta(seconds=59, milliseconds=999), 1, 43141),
        (timedelta(hours=12), 60, 86400),
    ],
    ids=str,
)
def test_a_window_ends_with_the_minute_and_with_the_day_of_utc(offset, minute, day):
    assert (seconds_left(MINUTE, NOW + offset), seconds_left(DAY, NOW + offset)) == (minute, day)


@pytest.mark.parametrize(
    ("left", "tightest"),
    [
        ((3, 9, 9, 9), LimitStatus(name="key-minute", limit=60, window=60, left=3, resets_in=59)),
        (
            (9, 3, 9, 9),
            LimitStatus(name="key-day", limit=5000, window=86400, left=3, resets_in=43199),
        ),
        (
            (9, 9, 3, 9),
            LimitStatus(name="account-minute", limit=600, window=60, left=3, resets_in=59),
        ),
        (
            (9, 9, 9, 3),
            LimitStatus(name="account-day", limit=50_000, window=86400, left=3, resets_in=43199),
        ),
        (
            (0, 0, 9, 9),
            LimitStatus(name="key-day", limit=5000, window=86400, left=0, resets_in=43199),
        ),
    ],
    ids=["key-minute", "key-day", "account-minute", "account-day", "two alike"],
)
def test_the_tightest_limit_is_that_of_which_least_is_left_and_the_longest_of_several(
    left, tightest
):
    quota = Quota(60, 5000, 600, 50_000, *left)
    assert find_tightest(quota, NOW + timedelta(seconds=1)) == tightest


@pytest.mark.parametrize(
    ("changes", "after"),
    [
        (LimitChanges(), Limits(tier="pro", per_minute=7, per_day=70)),
        (LimitChanges(per_minute=8), Limits(tier="pro", per_minute=8, per_day=70)),
        (LimitChanges(per_day=80), Limits(tier="pro", per_minute=7, per_day=80)),
        (LimitChanges(tier="free"), Limits(tier="free", per_minute=7, per_day=70)),
        (LimitChanges(tier="", per_minute=0, per_day=0), Limits()),
    ],
    ids=["nothing", "minute", "day", "tier", "inherit"],
)
def test_a_change_of_limits_leaves_what_it_does_not_name(changes, after):
    assert change_limits(Limits(tier="pro", per_minute=7, per_day=70), changes) == after


def test_a_tier_tells_its_numbers():
    tier = Tier(
        name="t",
        description="",
        key_per_minute=1,
        key_per_day=2,
        account_per_minute=3,
        account_per_day=4,
        created_at=NOW,
    )
    assert tier.limits == TierLimits(1, 2, 3, 4)
