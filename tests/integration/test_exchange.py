"""The exchange asks Postgres: no token comes after a revocation, and all earlier ones are under it.

"Under" means that `iat` is not later than the watermark of the revocation.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import Any

import pytest
from testbed.waiting import until
from tests import endings
from tests.integration.exchanges import expect_anything
from tests.integration.things import ACTOR, PATIENT, make_guard, make_key, open_exchange, patiently
from tests.rows import list_denylist

from tokensvc.core.errors import InvalidClientError, OAuthError, UnavailableError
from tokensvc.core.exchange import ExchangeRequest
from tokensvc.core.ledger import Question
from tokensvc.issuer.admin import accounts, api_keys, audiences
from tokensvc.issuer.exchange.ledger import Ledger
from tokensvc.store.ledger import LedgerConnection
from tokensvc.store.primary import connect

WAITING = (
    "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
)


@pytest.fixture
def lock_seconds():
    return PATIENT


@pytest.fixture
async def exchange(database, settings, started):
    """The exchange in this process, without HTTP; its copies are kept fresh as in a service."""
    opened = await open_exchange(database, settings, started)
    mirror = asyncio.create_task(opened.mirror.run())
    yield opened
    mirror.cancel()
    await asyncio.wait([mirror])
    await opened.ledger.close()


async def wait_for_waiters(connection):
    await until(lambda: connection.fetchval(f"select exists ({WAITING})"))


HOLD = "select from api_key_window where key_id = $1 for no key update"
ACCOUNT_OF_KEY = "(select account_id from api_key where id = $1)"
HOLD_ACCOUNT = f"select from account_window where account_id = {ACCOUNT_OF_KEY} for no key update"


def end_key(column):
    return (
        f"update api_key set {column} = clock_timestamp(), watermark = clock_timestamp()"
        " where id = $1"
    )


# By the reason of the refusal: how the row is locked, and how the key is ended.
ENDINGS = {
    "revoked": (HOLD, end_key("revoked_at")),
    "disabled": (HOLD, end_key("disabled_at")),
    "expired": (HOLD, "update api_key set expires_at = clock_timestamp() where id = $1"),
    "unknown_key": (HOLD, end_key("deleted_at")),
    "suspended": (
        HOLD_ACCOUNT,
        f"update account set suspended_at = clock_timestamp() where id = {ACCOUNT_OF_KEY}",
    ),
}


@pytest.mark.parametrize("reason", ENDINGS)
async def test_an_exchange_that_waited_for_a_revocation_sees_it(
    reason, issue, database, database_url, connection
):
    """The trap: a statement that waits has a snapshot from before that for which it waits."""
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
    reasons = [error.reason for error in results if isinstance(error, InvalidClientError)]
    assert reasons == [reason] * 3
    await other.close()


async def test_a_batch_that_waited_for_one_key_sees_the_revocation_of_another(
    issue, database, database_url, connection
):
    """While the batch waits for the first key, the second is revoked, and that is acknowledged."""
    held, mine = sorted(
        [await make_key(database), await make_key(database)], key=lambda key: key.listed.record.id
    )
    other = await connect(database_url)
    async with other.transaction():
        await other.execute(HOLD, held.listed.record.id)
        waiting = [asyncio.create_task(issue(key)) for key in (held, mine)]
        await wait_for_waiters(connection)
        await endings.revoke_key(database, mine.listed.record.id, actor=ACTOR)
    first, second = await asyncio.gather(*waiting, return_exceptions=True)
    assert not isinstance(first, BaseException)
    assert first.claims.client_id == held.listed.record.id
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
    assert (await waiting).claims.client_id == key.listed.record.id
    await other.close()


async def test_an_exchange_that_waited_takes_its_clock_after_the_wait(
    database, database_url, connection
):
    key = await make_key(database)
    other = await connect(database_url)
    ledger = LedgerConnection(database, lock_seconds=PATIENT)
    question = Question(key.key.digest, None, None, True)
    async with other.transaction():
        await other.execute(HOLD, key.listed.record.id)
        waiting = asyncio.create_task(ledger.judge_batch({question: 1}, expect_anything))
        await wait_for_waiters(connection)
        released = await connection.fetchval("select clock_timestamp()")
    verdicts, admitted = await waiting
    assert verdicts[question].at >= released
    assert admitted == {key.listed.record.id: 1}
    ledger.close()
    await other.close()


STOPS: list[Any] = [endings.revoke_key, endings.disable_key, endings.delete_key]


async def stop(number: int, database: Any, record: Any) -> str:
    """Stop a key in one of four ways; return the id of the key, or of its account."""
    if number % 4 == 3:
        await endings.suspend_account(database, record.account_id, actor=ACTOR)
        return str(record.account_id)
    await STOPS[number % 4](database, record.id, actor=ACTOR)
    return str(record.id)


async def race(number: int, issue: Any, database: Any) -> tuple[str, list[int]]:
    """Stop a key while two clients exchange it; return whose tokens are revoked, and their `iat`.

    It is stopped after 0, 1 or 2 tokens, and at different moments of an exchange.
    """
    key = await make_key(database, per_minute=1_000_000)
    issued: list[int] = []

    async def hammer() -> None:
        with contextlib.suppress(InvalidClientError):
            while True:
                issued.append((await patiently(lambda: issue(key))).claims.iat)

    hammers = [asyncio.create_task(hammer()) for _ in range(2)]
    await until(lambda: len(issued) >= number % 3)
    await asyncio.sleep(0.001 * (number % 7))
    stopped = await patiently(lambda: stop(number, database, key.listed.record))
    with pytest.raises(InvalidClientError):
        await patiently(lambda: issue(key))
    await asyncio.gather(*hammers)
    return stopped, issued


async def test_every_token_lies_under_the_watermark_of_a_revocation_that_raced_it(issue, database):
    """Sixty keys, three at a time, each in one of four ways."""
    await make_key(database)  # from now on the capabilities are known
    issued: dict[str, list[int]] = {}
    for start in range(0, 60, 3):
        races = (race(start + number, issue, database) for number in range(3))
        issued |= dict(await asyncio.gather(*races))
    found = {row.revocation.value: row.revocation.upto for row in await list_denylist(database)}
    assert found.keys() == issued.keys()
    assert len(found) == 60
    for value, upto in found.items():
        assert upto is not None
        assert max(issued[value], default=0) <= upto
    assert sum(map(len, issued.values())) >= 60, "0, 1 or 2 tokens of each key come before its end"


async def test_a_key_that_is_exchanged_all_the_time_can_still_be_revoked(issue, database):
    """The revocation needs the row that every exchange locks."""
    key = await make_key(database, per_minute=1_000_000)
    issued: list[Any] = []

    async def hammer() -> None:
        with contextlib.suppress(InvalidClientError):
            while True:
                issued.append(await patiently(lambda: issue(key)))

    hammers = [asyncio.create_task(hammer()) for _ in range(8)]
    await until(lambda: len(issued) >= 100)
    revoke, key_id = endings.revoke_key, key.listed.record.id
    await patiently(lambda: revoke(database, key_id, actor=ACTOR))
    await asyncio.gather(*hammers)


@pytest.mark.parametrize("what", ["key", "account", "tokens"])
async def test_t15_a_token_got_in_the_same_second_after_a_disable_and_enable_is_not_revoked(
    what, issue, database
):
    key = await make_key(database)
    record = key.listed.record
    if what == "key":
        await endings.disable_key(database, record.id, actor=ACTOR)
        await api_keys.enable_key(database, record.id, actor=ACTOR)
    elif what == "account":
        await endings.suspend_account(database, record.account_id, actor=ACTOR)
        await accounts.resume_account(database, record.account_id, actor=ACTOR)
    else:
        await api_keys.update_key(
            database, record.id, api_keys.KeyChanges(), actor=ACTOR, revoke_tokens=True
        )
    claims = (await issue(key)).claims
    (row,) = await list_denylist(database)
    assert row.revocation.upto is not None
    assert claims.iat > row.revocation.upto
    assert claims.iat <= time.time(), "the exchange waited for the next second"


async def test_a_watermark_in_the_future_is_reported_and_not_waited_for(
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
    exchange, database, settings
):
    """A longer life that an audience gets between the verdict and the claims does not count."""
    key = await make_key(database)

    class Slow(Ledger):
        async def join_batch(self, question, act, arrived_on=None):
            decision = await super().join_batch(question, lambda decision: decision, arrived_on)
            await endings.revoke_key(database, key.listed.record.id, actor=ACTOR)
            life = settings.issuing_policy.max_token_life
            await audiences.create_audience(
                database, settings, "late", token_life=life, actor=ACTOR
            )
            return act(decision)

    slow = Slow(LedgerConnection(database), exchange.mirror, most_waiting=10)
    try:
        request = ExchangeRequest(credential=key.key, audience="late")
        slowed = replace(exchange, ledger=slow, guard=make_guard(database, slow))
        claims = (await slowed.issue(request, "test")).claims
    except OAuthError:
        return
    finally:
        await slow.close()
    (row,) = await list_denylist(database)
    assert claims.exp <= row.revocation.exp


async def test_f9_an_audience_that_may_be_new_is_not_waited_for_without_end(exchange, database):
    key = await make_key(database)
    async with exchange.mirror.refreshing:
        with pytest.raises(UnavailableError) as caught:
            await exchange.issue(ExchangeRequest(credential=key.key, audience="new"), "test")
    assert caught.value.reason == "not_in_time"
