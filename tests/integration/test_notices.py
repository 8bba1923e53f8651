"""Acts become notices, and notices reach receivers: signed, in order, and not in vain."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from standardwebhooks import WebhookVerificationError
from testbed.waiting import until
from tests import endings
from tests.integration.receiving import (
    Receiver,
    deliver,
    deliver_until,
    make_dispatcher,
    make_endpoint,
)
from tests.integration.things import ACTOR, list_acts, make_key

from tokensvc.issuer.admin import key_rotation
from tokensvc.issuer.notices.acts import plan_acts_once
from tokensvc.issuer.notices.deliveries import redeliver
from tokensvc.issuer.notices.endpoints import (
    EndpointChanges,
    delete_endpoint,
    rotate_secret,
    send_test,
    update_endpoint,
)
from tokensvc.issuer.signing.master_key import load_master_key, rotate_master_key

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
async def _nothing_is_left_to_be_found(database, started):
    """The first start has made a key, and nobody is told of it."""
    assert started.admin is not None
    await plan_acts_once(database)


@pytest.fixture
async def receiver():
    made = Receiver()
    await made.server.start_server()
    yield made
    made.go_on.set()
    await made.server.close()


@pytest.fixture
async def dispatcher(database, settings, started):
    made = make_dispatcher(database, settings, started.master_key)
    yield made
    await made.close()


@pytest.fixture
def add(database, settings, started, connection):
    """Adds an endpoint; nobody is told of that."""

    async def act(url, **more):
        made = await make_endpoint(database, settings, started.master_key, url, **more)
        await plan_acts_once(database)
        await connection.execute("delete from notice_delivery")
        return made

    return act


@pytest.fixture
async def forget_holds(connection):
    """Lets an endpoint that has failed, and its deliveries, be due again at once."""

    async def act():
        await connection.execute(
            "update notice_delivery set next_at = created_at where next_at > clock_timestamp()"
        )
        await connection.execute(
            "update notice_endpoint set leased_until = '-infinity', due_at = created_at"
            " where due_at is not null"
        )

    return act


async def fetch_delivery(connection):
    return await connection.fetchrow("select * from notice_delivery order by id desc limit 1")


async def test_every_act_that_is_an_event_reaches_who_wants_to_know_signed_and_in_order(
    database, dispatcher, receiver, add
):
    made = await add(receiver.url)
    key = (await make_key(database)).listed.record
    await endings.disable_key(database, key.id, actor=ACTOR, reason="lost")
    await endings.revoke_key(database, key.id, actor=ACTOR)
    await deliver(dispatcher)
    assert receiver.events == ["key.created", "key.disabled", "key.revoked"]
    for number, got in enumerate(receiver.got, 1):
        got.check(made.secret)
        assert got.id == got.body["data"]["id"]
        assert got.body["data"]["number"] == number
        assert got.body["data"]["subject"] == key.id
        assert got.body["data"]["account"] == key.account_id
        assert (got.body["data"]["name"], got.body["data"]["hint"]) == (key.terms.name, key.hint)
    assert receiver.got[1].body["data"]["reason"] == "lost"
    with pytest.raises(WebhookVerificationError):
        receiver.got[0].check("whsec_" + "A" * 44)


async def test_an_account_is_told_of_its_own_keys_alone_and_of_what_it_has_subscribed_to(
    database, dispatcher, receiver, add
):
    own, other = await make_key(database), await make_key(database)
    account = own.listed.record.account_id
    await deliver(dispatcher)
    await add(receiver.url, account_id=account, events=["key.revoked", "key.rotated"])
    for key in (own, other):
        await endings.disable_key(database, key.listed.record.id, actor=ACTOR)
        await endings.revoke_key(database, key.listed.record.id, actor=ACTOR)
    await deliver(dispatcher)
    assert receiver.events == ["key.revoked"]
    assert receiver.got[0].body["data"]["account"] == account
    assert receiver.got[0].body["data"]["actor"] == ACTOR.name


async def test_who_is_of_another_account_is_shown_as_the_operator(
    database, dispatcher, receiver, add
):
    await add(receiver.url)
    key = (await make_key(database)).listed.record
    stranger = ACTOR.__class__(name="key_x", account_id="acct_x")
    await key_rotation.rotate_key(database, key.id, grace=DAY, prefix="tsk-", actor=stranger)
    await deliver(dispatcher)
    assert receiver.events == ["key.created", "key.rotated", "key.created"]
    data = receiver.got[1].body["data"]
    assert (data["actor"], data["grace_seconds"]) == ("operator", 86400)
    assert data["successor"] == receiver.got[2].body["data"]["subject"]


async def test_what_happened_before_there_was_an_endpoint_is_not_told(
    database, dispatcher, receiver, add
):
    await make_key(database)
    await deliver(dispatcher)
    await add(receiver.url)
    await deliver(dispatcher)
    assert receiver.events == []


async def test_two_processes_find_each_act_once(database, connection):
    for _ in range(3):
        await make_key(database)
    read = await asyncio.gather(*(plan_acts_once(database, at_once=2) for _ in range(8)))
    while await plan_acts_once(database, at_once=2):
        pass
    head = await connection.fetchval("select number from audit_head")
    assert sum(read) <= head
    assert await connection.fetchval("select audit_number from notice_cursor") == head
    names = await connection.fetch("select name from notice_event")
    assert [row["name"] for row in names] == ["key.created"] * 4  # and the first admin


async def test_f48_a_receiver_that_was_down_gets_everything_and_the_pauses_grow(
    database, dispatcher, receiver, add, connection, forget_holds, logs
):
    await add(receiver.url)
    receiver.status = 500
    key = (await make_key(database)).listed.record
    await endings.revoke_key(database, key.id, actor=ACTOR)
    await deliver(dispatcher)
    assert receiver.events == ["key.created"]  # the others wait until it is tried again
    row = await connection.fetchrow(
        "select *, next_at - tried_at as pause from notice_delivery order by id limit 1"
    )
    assert (row["attempts"], row["status"], row["error"]) == (1, 500, "refused")
    assert timedelta(seconds=5) <= row["pause"] <= timedelta(seconds=6)
    await deliver(dispatcher)
    assert len(receiver.got) == 1
    receiver.status = 200
    await forget_holds()
    await deliver(dispatcher)
    assert receiver.events == ["key.created", "key.created", "key.revoked"]
    assert receiver.got[0].id == receiver.got[1].id
    found = await connection.fetchrow("select * from notice_endpoint")
    assert (found["failing_since"], found["failures"], found["due_at"]) == (None, 0, None)
    assert [line["error"] for line in logs.find("notice_not_delivered")] == ["refused"]


async def test_t46_a_receiver_that_hangs_costs_the_others_nothing(
    database, settings, started, receiver, add
):
    hanging = [Receiver() for _ in range(12)]
    for one in hanging:
        one.go_on.clear()
        await one.server.start_server()
        await add(one.url)
    await add(receiver.url)
    dispatcher = make_dispatcher(database, settings, started.master_key, seconds=0.4)
    await make_key(database)
    await deliver_until(dispatcher, lambda: receiver.events == ["key.created"])
    # From now on those that hang have slots of their own.
    for _ in range(3):
        await make_key(database)
        began = asyncio.get_running_loop().time()
        count = len(receiver.got) + 1
        await dispatcher.work_once()
        await until(lambda count=count: len(receiver.got) >= count)
        assert asyncio.get_running_loop().time() - began < 2
    for one in hanging:
        one.go_on.set()
    await dispatcher.settle()
    await dispatcher.close()
    for one in hanging:
        await one.server.close()


async def test_one_delivery_of_an_endpoint_is_under_way_however_many_processes_there_are(
    database, settings, started, receiver, add
):
    await add(receiver.url)
    receiver.go_on.clear()
    several = [make_dispatcher(database, settings, started.master_key, seconds=5) for _ in range(3)]
    for _ in range(3):
        await make_key(database)
    for one in several:
        await one.work_once()
    await asyncio.sleep(0.3)
    assert len(receiver.got) == 1
    receiver.go_on.set()
    for one in several:
        await one.settle()
        await one.close()
    assert receiver.events == ["key.created"] * 3


async def test_f48_what_a_process_had_under_way_when_it_died_is_sent_by_another_one(
    database, settings, started, receiver, add
):
    await add(receiver.url)
    receiver.go_on.clear()
    lease = timedelta(seconds=0.3)
    dead = make_dispatcher(database, settings, started.master_key, seconds=5, lease=lease)
    await make_key(database)
    await dead.work_once()
    await until(lambda: receiver.got)
    await dead.close()
    receiver.go_on.set()
    other = make_dispatcher(database, settings, started.master_key)
    await deliver_until(other, lambda: len(receiver.got) == 2)
    assert receiver.got[0].id == receiver.got[1].id
    await other.close()


async def test_an_endpoint_that_fails_for_three_days_is_disabled_and_others_are_told(
    database, dispatcher, receiver, add, connection, forget_holds
):
    down = (await add("http://127.0.0.1:1/")).endpoint
    await add(receiver.url, events=["endpoint.disabled"])
    await make_key(database)
    await deliver(dispatcher)
    await connection.execute(
        "update notice_endpoint set failing_since = failing_since - interval '3 days'"
        " where id = $1",
        down.id,
    )
    because = "select disabled_because from notice_endpoint where id = $1"
    async with asyncio.timeout(20):
        while await connection.fetchval(because, down.id) is None:
            await forget_holds()
            await deliver(dispatcher)
    assert await connection.fetchval(because, down.id) == "failing"
    assert (await list_acts(database, down.id))[-1] == "notice-endpoints.disable"
    await deliver(dispatcher)
    assert [got.body["data"]["subject"] for got in receiver.got] == [down.id]
    before = await connection.fetchval("select count(*) from notice_delivery")
    await make_key(database)
    await deliver(dispatcher)
    assert await connection.fetchval("select count(*) from notice_delivery") == before


async def test_an_endpoint_that_is_gone_is_disabled_at_once_and_can_be_enabled_again(
    database, dispatcher, receiver, add, connection, settings, forget_holds
):
    endpoint = (await add(receiver.url)).endpoint
    receiver.status = 410
    await make_key(database)
    await deliver(dispatcher)
    because = "select disabled_because from notice_endpoint"
    assert await connection.fetchval(because) == "gone"
    receiver.status = 200
    enabled = await update_endpoint(
        database, settings, endpoint.id, EndpointChanges(is_enabled=True), actor=ACTOR
    )
    assert enabled.state == "active"
    await forget_holds()
    await deliver(dispatcher)
    assert receiver.events[0] == receiver.events[1] == "key.created"


async def test_a_redirect_is_a_failure_and_nobody_follows_it(
    database, dispatcher, receiver, add, connection
):
    await add(receiver.url)
    receiver.status, receiver.headers = 307, {"Location": receiver.url + "2"}
    await make_key(database)
    await deliver(dispatcher)
    assert len(receiver.got) == 1
    assert (await fetch_delivery(connection))["error"] == "redirect"


async def test_a_delivery_is_given_up_after_its_last_attempt(
    database, dispatcher, receiver, add, connection, forget_holds
):
    await add(receiver.url)
    receiver.status = 500
    await make_key(database)
    await deliver(dispatcher)
    await connection.execute("update notice_delivery set attempts = 9")
    await forget_holds()
    await deliver(dispatcher)
    row = await fetch_delivery(connection)
    assert (row["attempts"], row["next_at"], row["delivered_at"]) == (10, None, None)


async def test_both_secrets_sign_during_the_grace_of_a_rotation_and_then_only_the_new_one(
    database, dispatcher, receiver, add, started
):
    made = await add(receiver.url)
    turned = await rotate_secret(
        database, started.master_key, made.endpoint.id, grace=DAY, actor=ACTOR
    )
    await send_test(database, made.endpoint.id, actor=ACTOR)
    await deliver(dispatcher)
    receiver.got[-1].check(made.secret)
    receiver.got[-1].check(turned.secret)
    last = await rotate_secret(
        database, started.master_key, made.endpoint.id, grace=timedelta(), actor=ACTOR
    )
    await send_test(database, made.endpoint.id, actor=ACTOR)
    await deliver(dispatcher)
    receiver.got[-1].check(last.secret)
    with pytest.raises(WebhookVerificationError):
        receiver.got[-1].check(turned.secret)
    assert receiver.events == ["notice.test"] * 2


async def test_secrets_outlive_a_rotation_of_the_master_key(
    database, settings, receiver, add, started
):
    made = await add(receiver.url)
    await rotate_secret(database, started.master_key, made.endpoint.id, grace=DAY, actor=ACTOR)
    await rotate_master_key(database, settings, to=None, actor=ACTOR)

    new = await load_master_key(database, settings)
    assert new != started.master_key
    dispatcher = make_dispatcher(database, settings, new)
    await make_key(database)
    await deliver(dispatcher)
    receiver.got[0].check(made.secret)
    await dispatcher.close()


async def test_a_delivery_can_be_repeated_whatever_became_of_it(
    database, dispatcher, receiver, add, connection
):
    await add(receiver.url)
    await make_key(database)
    await deliver(dispatcher)
    row = await fetch_delivery(connection)
    assert row["delivered_at"] is not None
    again = await redeliver(database, row["id"], actor=ACTOR)
    assert (again.state, again.attempts) == ("waiting", 0)
    await deliver(dispatcher)
    assert receiver.got[0].id == receiver.got[1].id


async def test_a_deleted_endpoint_gets_nothing_more(database, dispatcher, receiver, add):
    endpoint = (await add(receiver.url)).endpoint
    await make_key(database)
    await plan_acts_once(database)
    await delete_endpoint(database, endpoint.id, actor=ACTOR)
    await deliver(dispatcher)
    assert receiver.events == []


async def test_whoever_silences_an_endpoint_does_not_do_so_unnoticed(
    database, settings, dispatcher, receiver, add
):
    await add(receiver.url)
    other = (await add("http://127.0.0.1:1/")).endpoint.id
    silent = EndpointChanges(is_enabled=False)
    for _ in range(2):
        await update_endpoint(database, settings, other, silent, actor=ACTOR)
    await delete_endpoint(database, other, actor=ACTOR)
    await deliver(dispatcher)
    told = [(got.body["type"], got.body["data"]["subject"]) for got in receiver.got]
    assert told == [("endpoint.disabled", other), ("endpoint.deleted", other)]


async def test_an_endpoint_is_told_of_those_that_are_added_and_of_itself_first(
    database, settings, started, dispatcher, receiver
):
    made = [
        await make_endpoint(database, settings, started.master_key, url)
        for url in (receiver.url, "http://127.0.0.1:1/")
    ]
    await deliver(dispatcher)
    told = [(got.body["type"], got.body["data"]["subject"]) for got in receiver.got]
    assert told == [("endpoint.created", one.endpoint.id) for one in made]
