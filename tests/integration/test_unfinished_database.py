"""A database that is empty, half restored or behind is asked nothing; a closed connection too."""

from __future__ import annotations

import asyncio

import pytest
from testbed.waiting import until
from tests import endings
from tests.integration.exchanges import ask, read_counts
from tests.integration.test_ledger_batches import LEDGERS
from tests.integration.things import ACTOR, make_key

from tokensvc.core.actor import Actor
from tokensvc.core.errors import UnavailableError
from tokensvc.core.exchange import ExchangeRequest
from tokensvc.issuer.exchange.ledger import Ledger
from tokensvc.issuer.revoking import credentials
from tokensvc.store.ledger import LedgerConnection
from tokensvc.store.primary import connect

UNFINISHED = {
    "no head": "delete from feed_head where topic = 'denylist'",
    "no tables": "alter table api_key_window rename to gone",
    "no function": "alter function judge_exchanges_2 rename to gone",
    "no schema": "alter schema public rename to gone",
    "no column": "alter table tier rename column key_per_minute to gone",
    "rows are still to come": "delete from api_key_window; delete from api_key;"
    " alter table api_key_window drop constraint api_key_window_key_fkey",
    "tiers are still to come": "alter table api_key drop constraint api_key_tier_fkey;"
    " alter table account drop constraint account_tier_fkey; delete from tier",
}


@pytest.mark.parametrize("state", UNFINISHED)
async def test_f43_an_unfinished_database_is_away_and_no_good_key_is_unknown(
    exchange, database, connection, state
):
    key = await make_key(database)
    assert len((await ask(exchange, key))[0]) == 1
    await connection.execute(UNFINISHED[state])
    _, (refusal,) = await ask(exchange, key)
    assert isinstance(refusal, UnavailableError)
    assert refusal.reason.startswith("database_")
    assert not exchange.ledger.is_answering


@pytest.mark.parametrize("state", ["no head", "no tables", "tiers are still to come"])
async def test_f43_the_copies_stay_as_they_are_while_the_database_is_unfinished(
    connection, new_mirror, state
):
    mirror = await new_mirror()
    held = mirror.denylist.log.head, mirror.signers.records
    await connection.execute(UNFINISHED[state].replace("api_key_window", "feed_head"))
    with pytest.raises(UnavailableError):
        await mirror.refresh_once()
    assert (mirror.denylist.log.head, mirror.signers.records) == held


async def test_f43_nobody_writes_into_a_database_that_is_being_restored(
    database_url, connection, new_database_url
):
    await connection.execute("alter table api_key drop constraint api_key_tier_fkey")
    with pytest.raises(OSError, match="being restored"):
        await connect(database_url)
    empty = await connect(await asyncio.to_thread(new_database_url, "empty"))
    await empty.close()  # so that the first start can make the schema


BEHIND = {
    "behind": "update feed_head set seq = seq - 1 where topic = 'denylist'; delete from denylist",
    "of another history": "update feed_head set tag = 'other' where topic = 'denylist'",
    "ahead with another history": "update feed_head set seq = seq + 1 where topic = 'denylist';"
    " update denylist set tag = 'other'",
}


@pytest.mark.parametrize("state", BEHIND)
async def test_f43_a_database_that_lost_what_this_process_has_seen_judges_nothing(
    exchange, database, connection, state
):
    key, revoked = await make_key(database), await make_key(database)
    await endings.revoke_key(database, revoked.listed.record.id, actor=Actor(name="test"))
    assert len((await ask(exchange, key))[0]) == 1, "it may be ahead of what was seen"
    await exchange.mirror.refresh_once()
    assert len((await ask(exchange, key))[0]) == 1
    await connection.execute(BEHIND[state])
    _, (refusal,) = await ask(exchange, key)
    assert refusal.reason == "database_behind"
    assert await read_counts(connection, key) == (2, 2)
    await exchange.mirror.refresh_once()  # which heals
    assert len((await ask(exchange, key))[0]) == 1


async def test_f43_what_was_acknowledged_a_moment_ago_is_seen(exchange, database, connection):
    key, revoked = await make_key(database), await make_key(database)
    await endings.revoke_key(database, revoked.listed.record.id, actor=Actor(name="test"))
    await exchange.mirror.refresh_once()
    (record,) = exchange.mirror.denylist.log
    await connection.execute("delete from denylist; update feed_head set seq = 0, tag = 'restored'")
    exchange.mirror.denylist.log.head = None
    exchange.mirror.denylist.remember([record])
    _, (refusal,) = await ask(exchange, key)
    assert refusal.reason == "database_behind"


async def test_f43_a_token_is_not_narrowed_before_the_denylist_is_restored(
    exchange, database, connection
):
    key = await make_key(database)
    issued = await exchange.issue(ExchangeRequest(credential=key.key), "test")
    assert len((await ask(exchange, issued))[0]) == 1
    await credentials.revoke_token(database, issued.claims, actor=ACTOR)
    _, (refusal,) = await ask(exchange, issued)
    assert refusal.reason == "revoked"
    await connection.execute(
        "delete from denylist; alter table denylist drop constraint denylist_pkey"
    )
    counted = await read_counts(connection, key)
    _, (refusal,) = await ask(exchange, issued)
    assert (type(refusal), refusal.reason) == (UnavailableError, "database_not_initialised")
    assert await read_counts(connection, key) == counted


async def test_f45_the_first_exchange_after_a_lost_connection_is_answered_and_counted_once(
    exchange, database, connection
):
    key = await make_key(database)
    for number in range(1, 5):
        assert len((await ask(exchange, key))[0]) == 1
        assert await read_counts(connection, key) == (number, number)
        ended = await connection.fetch(
            f"select pg_terminate_backend(pid, 5000) from pg_stat_activity where {LEDGERS}"
        )
        assert ended
        await asyncio.sleep(0.1)


async def test_readiness_knows_that_every_exchange_would_fail(exchange, database, database_url):
    ledger = Ledger(LedgerConnection(database), exchange.mirror, most_waiting=4, probe_after=-1)
    await ledger.probe_once()
    assert ledger.is_answering
    other = await connect(database_url)
    async with other.transaction():
        await other.execute("lock table api_key_window in access exclusive mode")
        await ledger.probe_once()
        answering = [ledger.is_answering]
    await ledger.probe_once()
    assert [*answering, ledger.is_answering] == [False, True]
    await ledger.close()
    await other.close()


async def test_readyz_names_the_ledger_and_the_clock(client, service, database_url):
    checks = (await (await client.get("/readyz")).json())["checks"]
    assert (checks["ledger"], checks["clock"]) == (True, True)
    async with service.mirror.refreshing:
        postgres_clock = service.mirror.postgres_clock
        asked = postgres_clock.ask()
        postgres_clock.read_clock(postgres_clock.now.replace(year=2100), asked)
        ready = await client.get("/readyz")
        assert (ready.status, (await ready.json())["checks"]["clock"]) == (503, False)
    await until(lambda: service.check_ready()["clock"])

    other = await connect(database_url)
    async with other.transaction():
        await other.execute("lock table api_key_window in access exclusive mode")
        await until(lambda: not service.check_ready()["ledger"])
    await until(lambda: service.check_ready()["ledger"])
    await other.close()
