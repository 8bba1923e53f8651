"""The batches of the ledger: clients that go, failures, many at once, and the end."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
from prometheus_client import REGISTRY
from testbed.waiting import until
from tests.integration.exchanges import ACCOUNT_COUNTS, ask, read_counts
from tests.integration.things import ACTOR, PATIENT, make_key, open_exchange, patiently

from tokensvc.core.errors import (
    RateLimitedError,
    UnavailableError,
)
from tokensvc.core.exchange import ExchangeRequest
from tokensvc.core.ledger import Decision, Question
from tokensvc.core.limit import LimitChanges
from tokensvc.issuer.admin import accounts
from tokensvc.issuer.exchange.ledger import Ledger
from tokensvc.issuer.postgres_clock import PostgresClock, build_stale_error
from tokensvc.store.ledger import LedgerConnection
from tokensvc.store.primary import connect

UNKNOWN = Question(bytes(31) + b"1", None, None, True)
LEDGERS = "query like '%from judge_exchanges_2%' and pid <> pg_backend_pid()"


def count_failed():
    return REGISTRY.get_sample_value("tokensvc_ledger_batches_failed_total")


@pytest.mark.parametrize("lock_seconds", [PATIENT])
async def test_a_client_that_has_gone_leaves_no_trace_and_breaks_nothing(
    exchange, database, database_url, connection
):
    key = await make_key(database)
    other = await connect(database_url)
    async with other.transaction():
        await other.execute(
            "select from api_key_window where key_id = $1 for no key update", key.listed.record.id
        )
        request = ExchangeRequest(credential=key.key)
        in_flight = [asyncio.create_task(exchange.issue(request, "test")) for _ in range(2)]
        await until(
            lambda: connection.fetchval(
                "select exists (select from pg_stat_activity where wait_event_type = 'Lock')"
            )
        )
        queued = [asyncio.create_task(exchange.issue(request, "test")) for _ in range(3)]
        await asyncio.sleep(0)
        in_flight[0].cancel()
        queued[1].cancel()
    results = await asyncio.gather(*in_flight, *queued, return_exceptions=True)
    gone = [isinstance(result, asyncio.CancelledError) for result in results]
    assert gone == [True, False, False, True, False]
    assert await read_counts(connection, key) == (4, 4), (
        "the one in flight was counted, the one that still waited was not"
    )
    assert exchange.ledger.waiting == 0
    await other.close()


async def test_a_batch_that_fails_fails_its_own_requests_and_the_next_one_works(
    exchange, database, database_url, connection, logs
):
    key, innocent = await make_key(database), await make_key(database)
    other = await connect(database_url)
    async with other.transaction():
        await other.execute(
            "select from api_key_window where key_id = $1 for no key update", key.listed.record.id
        )
        failed = count_failed()
        stuck = asyncio.create_task(ask(exchange, key, 5))
        await until(
            lambda: connection.fetchval(
                "select exists (select from pg_stat_activity where wait_event_type = 'Lock')"
            )
        )
        tokens, refused = await ask(exchange, innocent, 3)
        assert (len(tokens), refused) == (3, [])
        tokens, refused = await stuck
    assert tokens == []
    assert [error.reason for error in refused] == ["database_LockNotAvailableError"] * 5
    assert len({id(error) for error in refused}) == 5
    assert len((await ask(exchange, key))[0]) == 1
    assert [line["requests"] for line in logs.find("batch_failed")] == [5]
    assert count_failed() == failed + 1
    await other.close()


async def test_a_lost_connection_costs_one_batch(exchange, database, connection):
    key = await make_key(database)
    await ask(exchange, key)
    await connection.execute(
        f"select pg_terminate_backend(pid) from pg_stat_activity where {LEDGERS}"
    )
    tokens, refused = await ask(exchange, key)
    if not tokens:
        assert [error.code for error in refused] == ["temporarily_unavailable"]
        tokens, _ = await ask(exchange, key)
    assert len(tokens) == 1


async def test_a_fault_of_ours_in_a_batch_is_seen_and_does_not_end_the_ledger(
    exchange, database, connection, logs
):
    key = await make_key(database)
    await connection.execute(
        "alter table api_key_window add constraint impossible check (minute_count < 0) not valid"
    )
    _, (error,) = await ask(exchange, key)
    assert (type(error), str(error)) == (RuntimeError, "the batch failed")
    await connection.execute("alter table api_key_window drop constraint impossible")
    assert len((await ask(exchange, key))[0]) == 1
    assert "impossible" in logs.find("batch_failed")[0]["exception"]


def patient(database):
    return LedgerConnection(database, lock_seconds=PATIENT)


@contextlib.asynccontextmanager
async def held_up(ledger, question, key, database_url, connection):
    """Lock the row of a key, and lend a request that waits for it."""
    other = await connect(database_url)
    async with other.transaction():
        await other.execute(
            "select from api_key_window where key_id = $1 for no key update", key.listed.record.id
        )
        first = asyncio.create_task(ledger.join_batch(question, lambda decision: decision))
        await until(
            lambda: connection.fetchval(
                "select exists (select from pg_stat_activity where wait_event_type = 'Lock')"
            )
        )
        yield first
    await other.close()


async def test_f9_no_request_waits_for_longer_than_the_ledger_promises(
    database, database_url, connection, new_mirror
):
    key = await make_key(database)
    question = Question(key.key.digest, None, None, True)
    ledger = Ledger(
        LedgerConnection(database), await new_mirror(), most_waiting=4, longest_seconds=0.1
    )
    async with held_up(ledger, question, key, database_url, connection) as first:
        queued = asyncio.create_task(ledger.join_batch(question, lambda decision: decision))
        for request in (first, queued):
            with pytest.raises(UnavailableError) as caught:
                await request
            assert caught.value.reason == "not_in_time"
    later = await ledger.join_batch(question, lambda decision: decision)
    assert later is not None
    await ledger.close()


async def test_too_many_that_wait_are_turned_away_at_once(
    database, database_url, connection, new_mirror
):
    key = await make_key(database)
    question = Question(key.key.digest, None, None, True)
    ledger = Ledger(patient(database), await new_mirror(), most_waiting=4)
    async with held_up(ledger, question, key, database_url, connection) as first:
        waiting = [
            asyncio.create_task(ledger.join_batch(question, lambda decision: decision))
            for _ in range(4)
        ]
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError) as caught:
            await ledger.join_batch(question, lambda decision: decision)
        assert (caught.value.reason, caught.value.retry_after) == ("ledger_full", 1)
    decisions = await asyncio.gather(first, *waiting)
    assert all(decision is not None and decision.admitted for decision in decisions)
    await ledger.close()


async def test_requests_that_wait_when_the_ledger_closes_are_refused(
    database, database_url, connection, new_mirror
):
    key = await make_key(database)
    question = Question(key.key.digest, None, None, True)
    ledger = Ledger(patient(database), await new_mirror(), most_waiting=4)
    async with held_up(ledger, question, key, database_url, connection) as first:
        second = asyncio.create_task(ledger.join_batch(question, lambda decision: decision))
        await asyncio.sleep(0)
        await ledger.close()
    for result in await asyncio.gather(first, second, return_exceptions=True):
        assert isinstance(result, UnavailableError)
        assert result.reason == "stopping"


async def test_f9_a_request_that_came_earlier_waits_for_no_longer(
    database, database_url, connection, new_mirror
):
    """What it has waited before, in the slow lane, belongs to the time that the ledger has."""
    key = await make_key(database)
    question = Question(key.key.digest, None, None, True)
    ledger = Ledger(patient(database), await new_mirror(), most_waiting=4, longest_seconds=60)
    async with held_up(ledger, question, key, database_url, connection) as first:
        came_on = time.monotonic() - 60
        with pytest.raises(UnavailableError) as caught:
            await ledger.join_batch(question, lambda decision: decision, came_on)
        assert caught.value.reason == "not_in_time"
        assert not first.done()
    assert (await first).admitted
    await ledger.close()


async def test_who_waits_for_a_batch_that_never_began_is_refused_at_the_end(database, new_mirror):
    ledger = Ledger(patient(database), await new_mirror(), most_waiting=4)
    waiting = asyncio.ensure_future(ledger.join_batch(UNKNOWN, lambda decision: decision))
    await asyncio.sleep(0)  # the request waits now, and its batch begins in the next turn
    await ledger.close()
    with pytest.raises(UnavailableError) as caught:
        await waiting
    assert (caught.value.reason, ledger.waiting) == ("stopping", 0)


async def test_a_call_is_judged_although_the_copies_grow_too_old_to_count(
    database, settings, started
):
    """They may do so while the ledger connects, after its batch was looked through."""
    key = await make_key(database)

    class Ageing(PostgresClock):
        is_old = False

        def check_counting(self):
            if self.is_old:
                raise build_stale_error()

    postgres_clock = Ageing()
    exchange = await open_exchange(database, settings, started, postgres_clock)

    class Slow(LedgerConnection):
        async def judge_batch(self, counts, expect):
            postgres_clock.is_old = True
            return await super().judge_batch(counts, expect)

    ledger = Ledger(Slow(database), exchange.mirror, most_waiting=4)
    questions = [Question(key.key.digest, None, None, counts) for counts in (True, False)]
    counted, called = await asyncio.gather(
        *(ledger.join_batch(question, lambda decision: decision) for question in questions),
        return_exceptions=True,
    )
    assert isinstance(counted, UnavailableError)
    assert counted.reason == "mirror_stale"
    assert isinstance(called, Decision)
    assert called.verdict.key_id == key.listed.record.id
    assert ledger.is_answering
    await ledger.close()


@pytest.mark.usefixtures("calm")
async def test_ledgers_that_hammer_the_same_keys_agree_and_never_deadlock(
    database, settings, started, connection
):
    """Four ledgers, twenty keys in four accounts, everybody at many times the limit."""
    owners = [(await accounts.create_account(database, f"a{n}", actor=ACTOR)).id for n in range(4)]
    for owner in owners:
        await accounts.update_account(
            database, owner, limits=LimitChanges(per_minute=200), actor=ACTOR
        )
    keys = [await make_key(database, account=owners[n % 4]) for n in range(20)]
    exchanges = [await open_exchange(database, settings, started) for _ in range(4)]
    issued = dict.fromkeys((key.listed.record.id for key in keys), 0)

    async def hammer(exchange, key):
        request = ExchangeRequest(credential=key.key)
        for _ in range(20):
            with contextlib.suppress(RateLimitedError):
                await patiently(lambda: exchange.issue(request, "test"))
                issued[key.listed.record.id] += 1

    await asyncio.gather(*(hammer(exchange, key) for exchange in exchanges for key in keys))
    for n, owner in enumerate(owners):
        of_owner = [issued[key.listed.record.id] for key in keys[n::4]]
        assert (sum(of_owner), max(of_owner) <= 60) == (200, True)
        assert tuple(await connection.fetchrow(ACCOUNT_COUNTS, owner)) == (200, 200)
    counted = await connection.fetch("select key_id, minute_count from api_key_window")
    assert {key: dict(counted)[key] for key in issued} == issued
    deadlocks = "select deadlocks from pg_stat_database where datname = current_database()"
    assert await connection.fetchval(deadlocks) == 0
    for exchange in exchanges:
        await exchange.ledger.close()
