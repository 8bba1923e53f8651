"""What the demo makes up is believable, and the same whenever it is made up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from demo.cast import ACCOUNTS, KEYS
from demo.story import BEGAN, list_acts
from demo.traffic import count_exchanges

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
PLANS = {plan.name: plan for plan in KEYS}


def sum_issued(name, hours, seed=1):
    return sum(count_exchanges(PLANS[name], hour, seed).get("issued", 0) for hour in hours)


def list_hours(day, first, last):
    return [MONDAY + timedelta(days=day, hours=hour) for hour in range(first, last)]


def test_an_office_sleeps_at_night_and_at_weekends_and_a_shop_does_not():
    day = sum_issued("pick-and-pack", list_hours(0, 8, 16))
    assert day > 5 * sum_issued("pick-and-pack", list_hours(0, 20, 24))
    assert day > 4 * sum_issued("pick-and-pack", list_hours(5, 8, 16))
    shop = sum_issued("storefront-web", list_hours(0, 8, 16))
    assert 0.7 * shop < sum_issued("storefront-web", list_hours(5, 8, 16)) < 1.6 * shop


def test_what_is_refused_says_why():
    found = set()
    for hour in list_hours(0, 0, 24):
        found |= set(count_exchanges(PLANS["partner-import"], hour, 1))
    assert {"issued", "key_minute_limited"} <= found


def test_the_same_seed_tells_the_same_story_and_another_one_another():
    hours = list_hours(0, 0, 24)
    assert sum_issued("dispatch", hours) == sum_issued("dispatch", hours)
    assert sum_issued("dispatch", hours) != sum_issued("dispatch", hours, seed=2)
    assert list_acts(1) == list_acts(1)
    assert list_acts(1) != list_acts(2)


def test_there_are_enough_people_and_every_kind_of_key():
    assert len(ACCOUNTS) >= 12
    assert len(KEYS) >= 60
    assert len(PLANS) == len(KEYS), "an act names a key by its name"
    assert {plan.account for plan in KEYS} == {name for name, _, _ in ACCOUNTS}
    assert len({plan.fate for plan in KEYS}) == 9
    days = [act.days_ago for act in list_acts(1)]
    assert days == sorted(days, reverse=True)
    assert days[0] < BEGAN
    assert days[-1] > 0
