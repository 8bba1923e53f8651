"""The exchange is decided by Postgres: no token after a revocation, and those before lie under it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import Any

import pytest
from testbed.waiting import PATIENCE, until
from tests.integration.things import ACTOR, make_key, open_exchange, patiently

from tokensvc.core.errors import InvalidClientError, OAuthError, UnavailableError
from tokensvc.core.exchange import ExchangeRequest
from tokensvc.core.ledger import Question
from tokensvc.issuer.admin import accounts, api_keys, audiences
from tokensvc.issuer.exchange.ledger import Ledger
from tokensvc.issuer.revoking import watermarks
from tokensvc.issuer.revoking.denylist import list_denylist
from tokensvc.store.ledger import LedgerConnection
from tokensvc.store.primary import connect

WAITING = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


@pytest.fixture
async def issue(database, settings, started):
    """Exchange a key in this process: no HTTP."""
    exchange = await open_exchange(database, settings, started)

    async def act(key, **wanted):
        return (await exchange.issue(ExchangeRequest(credential=key.key, **wanted), "test")).claims

    yield act
    await exchange.ledger.close()


async def wait_for_waiters(connection, count=1):
    await until(lambda: _waiters(connection, count))


async def _waiters(connection, count):
    return await connection.fetchval(WAITING) >= count


HOLD = "select from api_key_window where key_id = $1 for no key update"
HOLD_ACCOUNT = "select from account_window where account_id = (select account_id from api_key where id = $1) for no key update"
ENDINGS = {
    "revoked": (
        HOLD,
        "update api_key set revoked_at = clock_timestamp(), watermark = clock_timestamp() where id = $1",
    ),
    "disabled": (
        HOLD,
        "update api_key set disabled_at = clock_timestamp(), watermark = clock_timestamp() where id = $1",
    ),
    "expired": (HOLD, "update api_key set expires_at = clock_timestamp() where id = $1"),
    "unknown_key": (
        HOLD,
        "update api_key set deleted_at = clock_timestamp(), watermark = clock_timestamp() where id = $1",
    ),
    "suspended": (
        HOLD_ACCOUNT,
        "update account set suspended_at = clock_timestamp() where id = (select account_id from api_key where id = $1)",
    ),
}


@pytest.mark.parametrize("reason", ENDINGS)
async def test_an_exchange_that_waited_for_a_revocation_sees_it(
    reason, issue, database, database_url, connection
):
    """The trap: the state in the snapshot of a statement that waits is older than what it waits for."""
    key = await make_key(database)
    other = await connect(database_url)
    transaction = other.transaction()
    await transaction.start()
    hold, end = ENDINGS[reason]
    await other.execute(hold, key.listed.record.id)
    waiting = [asyncio.create_task(issue(key)) for _ in range(3)]
    await wait_for_waiters(connection)
    await other.execute(end, key.listed.record.id)
    await transaction.commit()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [error.reason for error in results if isinstance(error, InvalidClientError)] == [
        reason
    ] * 3
    await other.close()


async def test_the_trap_is_one_for_a_batch_that_waits_for_another_key(
    issue, database, database_url, connection
):
    """A batch waits for a key of somebody else; meanwhile one of its own keys is revoked, whole and acknowledged."""
    held, mine = sorted(
        [await make_key(database), await make_key(database)], key=lambda key: key.listed.record.id
    )
    other = await connect(database_url)
    async with other.transaction():
        await other.execute(HOLD, held.listed.record.id)
        waiting = [asyncio.create_task(issue(key)) for key in (held, mine)]
        await wait_for_waiters(connection)
        await watermarks.revoke_key(database, mine.listed.record.id, actor=ACTOR)
    first, second = await asyncio.gather(*waiting, return_exceptions=True)
    assert not isinstance(first, BaseException)
    assert first.client_id == held.listed.record.id
    assert isinstance(second, InvalidClientError)
    await other.close()


async def test_an_exchange_that_waited_for_a_change_that_was_rolled_back_gets_its_token(
    issue, database, database_url, connection
):
    key = await make_key(database)
    other = await connect(database_url)
    transaction = other.transaction()
    await transaction.start()
    hold, end = ENDINGS["revoked"]
    await other.execute(hold, key.listed.record.id)
    await other.execute(end, key.listed.record.id)
    waiting = asyncio.create_task(issue(key))
    await wait_for_waiters(connection)
    await transaction.rollback()
    assert (await waiting).client_id == key.listed.record.id
    await other.close()


async def test_an_exchange_that_waited_takes_its_clock_after_the_wait(
    database, database_url, connection
):
    key = await make_key(database)
    other = await connect(database_url)
    ledger = LedgerConnection(database)
    question = Question(key.key.digest, None, None, True)
    async with other.transaction():
        await other.execute(HOLD, key.listed.record.id)
        waiting = asyncio.create_task(ledger.judge({question: 1}))
        await wait_for_waiters(connection)
        released = await connection.fetchval("select clock_timestamp()")
    verdicts, admitted = await waiting
    assert verdicts[question].at >= released
    assert admitted == {key.listed.record.id: 1}
    ledger.close()
    await other.close()


STOPS: list[Any] = [watermarks.revoke_key, watermarks.disable_key, watermarks.delete_key]


async def race(issue, database, number):
    """Stop a key in one of four ways while two exchange it; return its denylist value, latest `iat`.

    It is stopped as soon as so many tokens are out: none, one or two.
    """
    key = await make_key(database, per_minute=1_000_000)
    record = key.listed.record
    issued = []

    async def hammer():
        try:
            while True:
                issued.append((await patiently(lambda: issue(key))).iat)
        except InvalidClientError:
            return

    hammers = [asyncio.create_task(hammer()) for _ in range(2)]
    await until(lambda: len(issued) >= number % 3)
    stop, stopped = STOPS[number % 3], str(record.id)
    if number % 4 == 3:
        stop, stopped = watermarks.suspend_account, record.account_id
    await patiently(lambda: stop(database, stopped, actor=ACTOR))
    with pytest.raises(InvalidClientError):
        await patiently(lambda: issue(key))
    await asyncio.gather(*hammers)
    return stopped, max(issued, default=0)


async def test_every_token_lies_under_the_watermark_of_a_revocation_that_raced_it(issue, database):
    """48 keys, each exchanged by several at once while it is stopped in one of four ways."""
    latest: dict[str, int] = {}
    for start in range(0, 48, 3):
        latest |= dict(await asyncio.gather(*(race(issue, database, start + n) for n in range(3))))
    found = {row.revocation.value: row.revocation.upto for row in await list_denylist(database)}
    assert found.keys() == latest.keys()
    assert all(latest[value] <= found[value] for value in found)


async def test_a_key_that_is_exchanged_all_the_time_can_still_be_revoked(issue, database):
    key = await make_key(database, per_minute=1_000_000)
    issued = []

    async def hammer():
        with contextlib.suppress(InvalidClientError):
            while True:
                issued.append(await patiently(lambda: issue(key)))

    hammers = [asyncio.create_task(hammer()) for _ in range(8)]
    await until(lambda: len(issued) > 50)
    revoke = watermarks.revoke_key
    await patiently(lambda: revoke(database, key.listed.record.id, actor=ACTOR))
    await asyncio.wait_for(asyncio.gather(*hammers), PATIENCE)


@pytest.mark.parametrize("what", ["key", "account", "tokens"])
async def test_a_token_after_a_stop_and_go_within_one_second_is_not_born_dead(
    what, issue, database
):
    key = await make_key(database)
    record = key.listed.record
    if what == "key":
        await watermarks.disable_key(database, record.id, actor=ACTOR)
        await api_keys.enable_key(database, record.id, actor=ACTOR)
    elif what == "account":
        await watermarks.suspend_account(database, record.account_id, actor=ACTOR)
        await accounts.resume_account(database, record.account_id, actor=ACTOR)
    else:
        await api_keys.update_key(
            database, record.id, api_keys.KeyChanges(), actor=ACTOR, revoke_tokens=True
        )
    claims = await issue(key)
    (row,) = await list_denylist(database)
    assert row.revocation.upto is not None
    assert claims.iat > row.revocation.upto
    assert claims.iat <= time.time(), "it waited; it did not lie"


async def test_a_watermark_of_a_clock_that_was_wrong_is_told_and_not_waited_for(
    issue, database, connection
):
    key = await make_key(database)
    await connection.execute(
        "update api_key set watermark = now() + interval '1 hour' where id = $1",
        key.listed.record.id,
    )
    with pytest.raises(UnavailableError, match="a clock was wrong") as caught:
        await issue(key)
    assert (caught.value.reason, caught.value.retry_after) == ("watermark_ahead", 60)


async def test_a_token_judged_before_a_revocation_does_not_outlive_its_watermark(
    database, settings, started
):
    """An audience with a longer life that appears between the verdict and the claims must not stretch the token."""
    exchange = await open_exchange(database, settings, started)
    key = await make_key(database)

    class Slow(Ledger):
        async def judge(self, question, act):
            decision = await super().judge(question, lambda decision: decision)
            await watermarks.revoke_key(database, key.listed.record.id, actor=ACTOR)
            life = settings.issuing_policy.max_token_life
            await audiences.add_audience(database, settings, "late", token_life=life, actor=ACTOR)
            return act(decision)

    slow = Slow(database, most_waiting=10)
    try:
        claims = (
            await replace(exchange, ledger=slow).issue(
                ExchangeRequest(credential=key.key, audience="late"), "test"
            )
        ).claims
    except OAuthError:
        return
    finally:
        await slow.close()
    (row,) = await list_denylist(database)
    assert claims.exp <= row.revocation.exp
