"""What the use and the age of keys shows becomes an event: once, and never inside an exchange."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.factories import make_settings
from tests.integration.things import ACTOR, make_key

from tokensvc.core.errors import UnavailableError
from tokensvc.core.usage import LastUse
from tokensvc.issuer.admin import key_rotation
from tokensvc.issuer.exchange.usage import UsageRecorder
from tokensvc.issuer.notices.checks import (
    check_ages_once,
    check_followers_once,
    clean_notices_once,
    tell_went_back,
)
from tokensvc.issuer.notices.usage_watch import UsageWatch
from tokensvc.store.api_key_network import delete_networks

pytestmark = pytest.mark.usefixtures("started")

DAY = timedelta(days=1)
NO_PAUSE = timedelta()


@pytest.fixture
async def now(connection):
    return await connection.fetchval("select clock_timestamp()")


@pytest.fixture
def list_events(connection):
    """Returns (name, subject, detail) of all events that are not of the audit trail."""

    async def act():
        rows = await connection.fetch(
            "select name, subject, detail::text as detail, account_id from notice_event"
            " order by number"
        )
        return [(row["name"], row["subject"]) for row in rows]

    return act


@pytest.fixture
def use(database, now):
    """Uses a key from some networks, and lets the writer of usage look."""
    watch = UsageWatch(database)
    recorder = UsageRecorder(database, watch)

    async def act(key, *networks, count=1):
        for network in networks:
            for _ in range(count):
                recorder.add_issued(
                    key.listed.record.id, LastUse(int(now.timestamp()), network, "api")
                )
        await recorder.flush_once()
        await watch.check_once()

    return act


async def test_a_network_that_a_key_was_not_used_from_is_told_once_and_the_first_one_is_not(
    database, use, list_events, connection
):
    key, other = await make_key(database), await make_key(database)
    await use(key, "192.0.2.0/24")
    await use(key, "192.0.2.0/24", "unknown")
    assert await list_events() == []
    await use(key, "198.51.100.0/24")
    await use(key, "198.51.100.0/24", "192.0.2.0/24")
    await use(other, "198.51.100.0/24")
    assert await list_events() == [("key.new_network", key.listed.record.id)]
    detail = await connection.fetchval("select detail from notice_event")
    assert detail["network"] == "198.51.100.0/24"
    assert (detail["name"], detail["hint"]) == ("ci", key.listed.record.hint)
    account = await connection.fetchval("select account_id from notice_event")
    assert account == key.listed.record.account_id


async def test_two_processes_tell_of_a_new_network_once(database, list_events):
    key = (await make_key(database)).listed.record.id
    one, two = UsageWatch(database), UsageWatch(database)
    for network in ("192.0.2.0/24", "198.51.100.0/24"):
        for watch in (one, two):
            watch.note([(key, network)])
            await watch.check_once()
    assert await list_events() == [("key.new_network", key)]


async def test_of_a_key_that_moves_about_the_latest_50_networks_are_kept_and_nothing_is_told(
    database, use, list_events, connection, now
):
    key = await make_key(database)
    await use(key, *(f"10.0.{number}.0/24" for number in range(50)))
    told = len(await list_events())
    await use(key, *(f"10.1.{number}.0/24" for number in range(20)))
    assert len(await list_events()) == told
    count = "select count(*) from api_key_network"
    assert await connection.fetchval(count) == 50
    assert await delete_networks(connection, now + DAY, 1000) == 50


async def test_80_and_100_percent_of_the_limits_of_a_day_are_told_once_a_day(
    database, use, list_events, connection
):
    made = await make_key(database)
    key = made.listed.record

    async def count(counted, of_account=0):
        for table, column, thing, number in (
            ("api_key_window", "key_id", key.id, counted),
            ("account_window", "account_id", key.account_id, of_account),
        ):
            await connection.execute(
                f"insert into {table} ({column}, day, day_count)"
                f" values ($1, date_trunc('day', clock_timestamp()), $2)"
                f" on conflict ({column}) do update set day = excluded.day,"
                " day_count = excluded.day_count",
                thing,
                number,
            )

    await count(3999)
    await use(made, "192.0.2.0/24")
    assert await list_events() == []
    await count(4000, 40_000)
    await use(made, "192.0.2.0/24")
    await use(made, "192.0.2.0/24")
    assert await list_events() == [
        ("key.limit_80", key.id),
        ("account.limit_80", key.account_id),
    ]
    await count(5000, 50_000)
    await use(made, "192.0.2.0/24")
    assert (await list_events())[2:] == [
        ("key.limit_100", key.id),
        ("account.limit_100", key.account_id),
    ]


async def test_an_hour_far_above_the_seven_days_before_is_told_once(
    database, use, list_events, connection
):
    key = await make_key(database)
    await connection.execute("update api_key set created_at = created_at - interval '9 days'")
    await connection.execute(
        "insert into api_key_usage (key_id, hour, outcome, count)"
        " select $1, date_trunc('hour', clock_timestamp()) - n * interval '1 day', 'issued', 30"
        " from generate_series(1, 6) n",
        key.listed.record.id,
    )
    await use(key, "192.0.2.0/24", count=150)
    assert await list_events() == []
    await use(key, "192.0.2.0/24")
    await use(key, "192.0.2.0/24")
    assert await list_events() == [("key.unusual_use", key.listed.record.id)]
    detail = await connection.fetchval("select detail from notice_event")
    assert (detail["used"], detail["most_in_seven_days"]) == (151, 30)


async def test_a_key_that_is_used_in_its_grace_is_told_once_a_day(database, use, list_events):
    key = await make_key(database)
    await use(key, "192.0.2.0/24")
    assert await list_events() == []
    await key_rotation.rotate_key(
        database, key.listed.record.id, grace=DAY, prefix="tsk-", actor=ACTOR
    )
    await use(key, "192.0.2.0/24")
    await use(key, "192.0.2.0/24")
    assert await list_events() == [("key.used_in_grace", key.listed.record.id)]


async def test_keys_that_expire_are_told_of_once_for_each_threshold(
    database, settings, list_events, connection, now
):
    key = (await make_key(database, life=60 * DAY)).listed.record.id
    short = (await make_key(database, life=DAY / 2)).listed.record.id
    rotated = (await make_key(database, life=60 * DAY)).listed.record.id
    await key_rotation.rotate_key(database, rotated, grace=DAY, prefix="tsk-", actor=ACTOR)

    async def check_when_left(days):
        await connection.execute(
            "update api_key set created_at = clock_timestamp() - interval '60 days',"
            " expires_at = clock_timestamp() + $2 where id = $1",
            key,
            days * DAY,
        )
        for _ in range(2):
            await check_ages_once(database, settings, now, pause=NO_PAUSE)
        return [event for event in await list_events() if event[1] in {key, short, rotated}]

    assert await check_when_left(31) == []
    for number, days in enumerate((29, 6, 0.5), 1):
        assert await check_when_left(days) == [("key.expiring", key)] * number


async def test_idle_keys_and_overdue_signing_keys_are_told_of_once(
    database, settings, list_events, connection, now
):
    idle, used = await make_key(database), await make_key(database)
    await connection.execute("update api_key set created_at = created_at - interval '91 days'")
    await connection.execute(
        "insert into api_key_last_use values ($1, clock_timestamp(), '10.0.0.0/24', 'api')",
        used.listed.record.id,
    )
    await connection.execute(
        "update signing_key set active_at = active_at - interval '32 days',"
        " created_at = created_at - interval '32 days'"
    )
    for _ in range(2):
        await check_ages_once(database, settings, now, pause=NO_PAUSE)
    told = await list_events()
    assert ("key.idle", idle.listed.record.id) in told
    assert ("key.idle", used.listed.record.id) not in told
    assert [name for name, _ in told].count("signing_key.overdue") == 1
    assert len(told) == 3  # the first admin's key is idle too


async def test_of_several_processes_one_checks_the_ages(database, settings, list_events, now):
    await make_key(database, life=60 * DAY)
    await check_ages_once(database, settings, now)
    key = (await make_key(database, life=40 * DAY)).listed.record.id
    async with database.connection() as connection:
        await connection.execute(
            "update api_key set expires_at = clock_timestamp() + interval '3 days' where id = $1",
            key,
        )
    await check_ages_once(database, settings, now)  # not yet an hour later
    assert await list_events() == []


async def test_a_check_of_the_ages_that_failed_is_done_again_and_tells_nothing_twice(
    database, settings, list_events, connection, now
):
    key = (await make_key(database, life=60 * DAY)).listed.record.id
    await connection.execute(
        "update api_key set created_at = created_at - interval '57 days',"
        " expires_at = expires_at - interval '57 days' where id = $1",
        key,
    )
    await connection.execute("alter table signing_key rename to signing_key_away")
    with pytest.raises(UnavailableError):
        await check_ages_once(database, settings, now)
    await connection.execute("alter table signing_key_away rename to signing_key")
    assert await list_events() == [("key.expiring", key)], "it failed in the middle"
    for _ in range(2):  # a minute later, and one more
        await connection.execute(
            "update notice_cursor set checked_at = checked_at - interval '1 minute'"
        )
        await connection.execute("update api_key set created_at = created_at - interval '91 days'")
        await check_ages_once(database, settings, now)
    told = await list_events()
    assert told.count(("key.expiring", key)) == 1
    assert ("key.idle", key) in told, "the rest of the check"
    assert len(told) == len(set(told))


async def test_followers_that_lag_are_told_of_with_their_account(database, list_events, connection):
    key = (await make_key(database, capabilities=("tokensvc:denylist",))).listed.record
    await connection.execute(
        "insert into denylist values"
        " (1, 'a', 'jti', 'x', null, clock_timestamp() - interval '2 minutes',"
        " clock_timestamp() + interval '1 hour', 'token_revoked', false)"
    )
    await connection.execute("update feed_head set seq = 1, tag = 'a' where topic = 'denylist'")
    await connection.execute(
        "insert into follower (key_id, name, seq, tag, seen_at)"
        " select key_id, name, 0, 'x', clock_timestamp()"
        " from (values ($1, 'orders'), ('', 'junk')) as asking (key_id, name)",
        key.id,
    )
    for _ in range(2):
        await check_followers_once(database)
    assert await list_events() == [("follower.lagging", f"{key.id}/orders")]
    assert await connection.fetchval("select account_id from notice_event") == key.account_id


async def test_a_denylist_that_went_back_is_told_once_by_all_processes(database, list_events):
    for _ in range(3):
        await tell_went_back(database)
    assert await list_events() == [("denylist.went_back", "denylist")]


async def test_events_are_kept_for_30_days(database, now, list_events, logs):
    await tell_went_back(database)
    assert await clean_notices_once(database, now + 29 * DAY) == 0
    assert await clean_notices_once(database, now + 31 * DAY) == 1
    assert await list_events() == []
    assert len(logs.find("notices_cleaned")) == 1


def test_the_mail_server_is_named_with_who_sends():
    settings = make_settings(smtp_url="smtps://u:p%40@mail.example", smtp_from="t@example.com")
    assert settings.smtp_from == "t@example.com"
    assert settings.notice_networks == ()
