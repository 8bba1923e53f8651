from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tokensvc.cli.usage import draw_usage

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LAST = {"at": "2026-11-23T12:01:01Z", "network": "10.1.2.0/24", "audience": "api"}
HOURS = [
    {"hour": "2026-11-23T10:00:00Z", "issued": 10, "refused": {}},
    {
        "hour": "2026-11-23T12:00:00Z",
        "issued": 40,
        "refused": {"disabled": 3, "key_minute_limited": 2},
    },
]


def build_usage(since, until, last=None):
    """Return what `usage.show` answers."""
    times = {"since": since.isoformat(), "until": until.isoformat()}
    return {"id": "key_x", "last_used": last, "hours": HOURS, **times}


def test_people_get_a_bar_an_hour():
    until = NOON + timedelta(minutes=20)
    lines = draw_usage(build_usage(until - timedelta(hours=3), until, LAST)).splitlines()
    assert lines[:3] == [
        "last used   2026-11-23 12:01:01 UTC from 10.1.2.0/24 for api",
        "tokens            50",
        "",
    ]
    assert [line.split()[:2] for line in lines[3:]] == [
        ["11-23", "10:00"],
        ["11-23", "11:00"],
        ["11-23", "12:00"],
    ]
    assert [line.count("\u2588") for line in lines[3:]] == [10, 0, 40]
    assert lines[5].endswith("40  refused: 3 disabled, 2 key_minute_limited")


def test_what_is_used_of_the_limits_stands_above_the_bars_if_it_is_known():
    windows = {"minute": {"used": 2, "limit": 60}, "day": {"used": 700, "limit": 5000}}
    until = NOON + timedelta(minutes=20)
    lines = draw_usage(build_usage(until - timedelta(hours=3), until, LAST) | windows).splitlines()
    assert lines[1:5] == [
        "tokens            50",
        "this minute        2 of 60",
        "this day         700 of 5000",
        "",
    ]


def test_where_the_reasons_do_not_fit_they_stand_once_below_the_bars():
    until = NOON + timedelta(minutes=20)
    usage = build_usage(until - timedelta(hours=3), until)
    lines = draw_usage(usage, room=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[5].endswith("40  refused: 5")
    assert lines[6:] == ["", "refused: 3 disabled, 2 key_minute_limited"]
    assert draw_usage(usage, room=120) == draw_usage(usage)


def test_over_a_long_time_a_bar_is_a_day():
    lines = draw_usage(build_usage(NOON - timedelta(days=7), NOON)).splitlines()
    assert lines[0] == "last used   never"
    assert [line[:10] for line in lines[3:]] == [f"2026-11-{day}" for day in range(16, 24)]
    assert (lines[-1].count("\u2588"), lines[-1].split()[2]) == (40, "50")
