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


@pytest.mark.parametrize("limit", [0, -1, 1_000_000_001])
def test_a_limit_lets_something_through_and_ends_somewhere(limit):
    assert check_limit(1) == 1
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


def test_the_tightest_limit_is_the_one_of_which_least_is_left():
    assert find_tightest(Quota(60, 5000, 600, 50_000, 5, 4, 9, 9), NOW).name == "key-day"
    assert find_tightest(Quota(60, 5000, 600, 50_000, 5, 9, 9, 9), NOW).name == "key-minute"
    tight = find_tightest(Quota(60, 5000, 600, 50_000, 5, 9, 3, 9), NOW)
    assert (tight.name, tight.limit, tight.window, tight.left, tight.resets_in) == (
        "account-minute",
        600,
        60,
        3,
        60,
    )


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
