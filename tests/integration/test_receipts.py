"""Receipts: what a follower asks after tells what it has applied."""

from __future__ import annotations

import time

import pytest
from tests import endings
from tests.integration.clocks import Clocks
from tests.integration.things import ACTOR, list_followers

from tokensvc.core.denylist.position import Position
from tokensvc.core.errors import InvalidRequestError, UnavailableError
from tokensvc.core.follower import FollowerId, parse_follower_name
from tokensvc.issuer.admin import accounts
from tokensvc.issuer.mirror.mirror import Mirror
from tokensvc.issuer.revoking.receipts import Receipts, list_and_count_followers


@pytest.fixture
async def mirror(new_mirror):
    return await new_mirror()


@pytest.fixture
def heard(database, mirror):
    return Receipts(database, mirror, unproved_pause=0)


async def revoke_something(database, mirror):
    account = await accounts.create_account(database, "Orders", actor=ACTOR)
    await endings.suspend_account(database, account.id, actor=ACTOR)
    await mirror.refresh_once()
    return mirror.denylist.log.head


async def test_a_follower_is_as_far_as_what_it_asks_after(database, mirror, heard):
    first = mirror.denylist.log.head
    heard.note(FollowerId("", "orders"), first)
    heard.note(FollowerId("key_1", "stock"), first)
    await heard.flush_once()
    second = await revoke_something(database, mirror)
    heard.note(FollowerId("key_1", "stock"), second)
    await heard.flush_once()
    stock, orders = await list_followers(database)  # who proves a name comes first
    assert [(f.id.name, f.seq, f.head_seq, f.state, f.authenticated) for f in (orders, stock)] == [
        ("orders", first.seq, second.seq, "lagging", False),
        ("stock", second.seq, second.seq, "current", True),
    ]
    assert orders.lag_seconds > 0.0
    assert stock.lag_seconds == 0.0


@pytest.mark.parametrize(
    "position",
    [Position(10**9, "beyond"), Position(0, "anothertag"), Position(1, "reused")],
    ids=["beyond", "tag", "reused"],
)
async def test_a_position_that_never_was_proves_nothing(position, database, mirror, heard):
    await revoke_something(database, mirror)
    heard.note(FollowerId("", "liar"), position)
    await heard.flush_once()
    assert await list_followers(database) == []


async def test_strangers_cannot_fill_the_memory_and_the_table_forgets_who_fell_silent(
    database, mirror, connection
):
    heard = Receipts(database, mirror, most_unproved=3, unproved_pause=0)
    for number in range(10):
        heard.note(FollowerId("", f"n{number}"), mirror.denylist.log.head)
    await heard.flush_once()
    assert [follower.id.name for follower in await list_followers(database)] == ["n7", "n8", "n9"]
    await connection.execute(
        "update follower set seen_at = seen_at - interval '2 minutes' where name = 'n7'"
    )
    states = [follower.state for follower in await list_followers(database)]
    assert states == ["silent", "current", "current"]
    await connection.execute(
        "update follower set seen_at = seen_at - interval '2 hours' where name < 'n9'"
    )
    await heard.clean_once()
    assert [follower.id.name for follower in await list_followers(database)] == ["n9"]


@pytest.mark.parametrize(("alive_again", "is_written"), [(3600.0, False), (0.0, True)])
async def test_a_follower_that_is_only_alive_is_written_now_and_then(
    alive_again, is_written, database, mirror, connection
):
    heard = Receipts(database, mirror, alive_again=alive_again, unproved_pause=0)
    heard.note(FollowerId("", "orders"), mirror.denylist.log.head)
    await heard.flush_once()
    before = await connection.fetchval("select seen_at from follower")
    heard.note(FollowerId("", "orders"), mirror.denylist.log.head)
    await heard.flush_once()
    after = await connection.fetchval("select seen_at from follower")
    assert (after > before) == is_written


async def test_receipts_that_cannot_be_written_are_written_the_next_time(
    database, mirror, heard, connection
):
    heard.note(FollowerId("", "orders"), mirror.denylist.log.head)
    blocker = connection.transaction()
    await blocker.start()
    await connection.execute("lock table follower in exclusive mode")
    with pytest.raises(UnavailableError):
        await heard.flush_once()
    await blocker.rollback()
    await heard.flush_once()
    assert [follower.id.name for follower in await list_followers(database)] == ["orders"]


@pytest.mark.parametrize("name", ["", "a" * 101, "a b", "a\n", "naïve", "a%", '"'])
def test_a_follower_has_a_plain_name(name):
    assert parse_follower_name("orders-api@host-1:8080/a_b+c.d") == "orders-api@host-1:8080/a_b+c.d"
    with pytest.raises(InvalidRequestError, match="follower must be a name"):
        parse_follower_name(name)


async def test_t13_a_stranger_speaks_for_nobody_who_proves_his_name(database, mirror, heard):
    first = mirror.denylist.log.head
    heard.note(FollowerId("key_1", "orders"), first)
    second = await revoke_something(database, mirror)
    heard.note(FollowerId("", "orders"), second)
    heard.note(FollowerId("key_2", "orders"), second)
    await heard.flush_once()
    followers = await list_followers(database)
    assert [str(f.id) for f in followers if f.state == "lagging"] == ["key_1/orders"]
    heard.note_goodbye(FollowerId("", "orders"))
    await heard.flush_once()
    assert [str(follower.id) for follower in await list_followers(database)] == [
        "key_1/orders",
        "key_2/orders",
    ]


async def test_goodbyes_of_strangers_leave_room_for_those_of_real_followers(database, mirror):
    heard, follower = Receipts(database, mirror, most_unproved=2), FollowerId("key_1", "orders")
    heard.note(follower, mirror.denylist.log.head)
    await heard.flush_once()
    for number in range(5):
        heard.note_goodbye(FollowerId("", str(number)))
    heard.note_goodbye(follower)
    await heard.flush_once()
    assert await list_followers(database) == []


async def test_strangers_are_written_with_little_hurry_and_only_the_latest_stay(database, mirror):
    moment = [0.0]
    heard = Receipts(database, mirror, most_unproved=5, unproved_pause=5.0, clock=lambda: moment[0])
    head = mirror.denylist.log.head
    for round_ in range(3):
        for number in range(20):
            heard.note(FollowerId("", f"{round_}-{number}"), head)
            await heard.flush_once()
        moment[0] += 1
    assert [follower.id.name for follower in await list_followers(database)] == ["0-0"]
    moment[0] += 5
    heard.note(FollowerId("", "last"), head)
    await heard.flush_once()
    names = {follower.id.name for follower in await list_followers(database)}
    assert len(names) == 5
    assert {"2-19", "last"} < names


@pytest.mark.parametrize("ahead", ["1 hour", "2 minutes"])
async def test_f42_a_follower_that_was_heard_of_while_the_clock_was_ahead_is_heard_again(
    ahead, database, mirror, heard, connection
):
    heard.note(FollowerId("key_1", "orders"), mirror.denylist.log.head)
    await heard.flush_once()
    await connection.execute("update follower set seen_at = seen_at + $1::text::interval", ahead)
    heard.note(FollowerId("key_1", "orders"), await revoke_something(database, mirror))
    await heard.flush_once()
    (follower,) = await list_followers(database)
    assert follower.state == "current"


async def test_f42_a_clock_that_is_ahead_forgets_no_follower(
    database, settings, started, connection
):
    clocks = Clocks()
    mirror = Mirror(database, settings, started.master_key, postgres_clock=clocks.make())
    await mirror.refresh_once()
    heard = Receipts(database, mirror, unproved_pause=0)
    head = mirror.denylist.log.head
    assert head is not None
    heard.note(FollowerId("key_1", "orders"), head)
    await heard.flush_once()
    await connection.execute("update follower set seen_at = seen_at - interval '2 hours'")
    for clocks.postgres, left in ((7200.0, 1), (0.0, 0)):
        await mirror.refresh_once()
        await heard.clean_once()
        assert len(await list_followers(database)) == left


async def test_f42_a_follower_is_silent_only_if_both_clocks_say_so(
    database, mirror, heard, connection
):
    heard.note(FollowerId("key_1", "orders"), mirror.denylist.log.head)
    await heard.flush_once()
    await connection.execute("update follower set seen_at = seen_at - interval '2 minutes'")
    moment = time.time() - 120
    (follower,), _ = await list_and_count_followers(database, wall=lambda: moment)
    assert follower.state == "current"
    (follower,), _ = await list_and_count_followers(database)
    assert follower.state == "silent"
