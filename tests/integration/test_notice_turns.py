"""Accounts share the slots of a process: nobody's receivers take them all, if they are slow."""

from __future__ import annotations

import pytest
from testbed.waiting import until
from tests.integration.receiving import Receiver, deliver, make_dispatcher, make_endpoint
from tests.integration.things import make_key

from tokensvc.issuer.notices.acts import plan_acts_once
from tokensvc.issuer.notices.dispatch import LEASE
from tokensvc.store import notice_endpoint as table


@pytest.fixture
async def receivers():
    """One that answers, and twelve that take long and have never failed."""
    made = [Receiver() for _ in range(13)]
    for one in made:
        await one.server.start_server()
    for slow in made[1:]:
        slow.go_on.clear()
    yield made
    for one in made:
        one.go_on.set()
        await one.server.close()


@pytest.fixture
async def crowd(database, settings, started, receivers):
    """An account with twelve slow receivers, each of which waits for a notice."""
    await plan_acts_once(database)
    account = (await make_key(database)).listed.record.account_id
    for slow in receivers[1:]:
        await make_endpoint(database, settings, started.master_key, slow.url, account_id=account)
    await make_key(database, account=account, name="two")
    await plan_acts_once(database)
    return account


async def test_t46_no_account_takes_all_slots_with_receivers_that_are_slow(
    database, settings, started, receivers, crowd
):
    other = (await make_key(database)).listed.record.account_id
    assert other != crowd
    await make_endpoint(database, settings, started.master_key, receivers[0].url, account_id=other)
    await make_key(database, account=other, name="two")
    dispatcher = make_dispatcher(database, settings, started.master_key, seconds=30)
    await dispatcher.work_once()
    await until(lambda: "key.created" in receivers[0].events)
    busy = sum(bool(slow.got) for slow in receivers[1:])
    assert 0 < busy < 8  # they hold the slots that they may hold, and the others are free
    for slow in receivers[1:]:
        slow.go_on.set()
    await dispatcher.settle()
    await deliver(dispatcher)
    assert all(slow.got for slow in receivers[1:])
    await dispatcher.close()


async def test_t46_whoever_was_served_longest_ago_comes_first_however_much_the_others_have_waiting(
    database, settings, started, receivers, connection
):
    await plan_acts_once(database)
    account = (await make_key(database)).listed.record.account_id
    busy = await make_endpoint(
        database, settings, started.master_key, receivers[0].url, account_id=account
    )
    dispatcher = make_dispatcher(database, settings, started.master_key)
    await deliver(dispatcher)  # so that it was served just now
    for name in ("two", "three"):
        await make_key(database, account=account, name=name)
    await plan_acts_once(database)
    late = await make_endpoint(
        database, settings, started.master_key, receivers[0].url, account_id=account
    )
    await make_key(database, account=account, name="four")
    await plan_acts_once(database)
    for made in (late, busy):
        claimed = await table.claim_endpoint(connection, is_failing=False, lease=LEASE)
        assert claimed is not None
        assert claimed.id == made.endpoint.id
    await dispatcher.close()
