"""The authoritative exchange: no token after a revocation, and every token from before under its watermark."""

from __future__ import annotations

import asyncio
import time

import pytest
from tests.integration.things import ACTOR, make_key
from tokensvc.store.exchange import judge_exchange

from tokensvc.core.errors import InvalidClientError, OAuthError
from tokensvc.core.exchange import ExchangeRequest, Verdict
from tokensvc.issuer import accounts, api_keys, audiences
from tokensvc.issuer.exchange import exchange
from tokensvc.issuer.ledger import Ledger
from tokensvc.issuer.mirror import Mirror
from tokensvc.issuer.revocation import list_denylist
from tokensvc.store.pool import connect

WAITING = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


@pytest.fixture
async def issue(database, settings, started):
    """Exchange a key in this process: no HTTP."""
    mirror = Mirror(database, settings, started.master_key)
    await mirror.refresh_once()
    ledger = Ledger(database)

    async def act(key, **wanted):
        request = ExchangeRequest(credential=key.key, **wanted)
        return (await exchange(request, ledger=ledger, mirror=mirror, policy=settings.issuing_policy)).claims

    return act


async def wait_for_waiters(connection, count=1):
    async with asyncio.timeout(3):
        while await connection.fetchval(WAITING) < count:
            await asyncio.sleep(0.01)


ENDINGS = {
    "revoked": "update api_key set revoked_at = clock_timestamp(), denied_up_to = clock_timestamp() where id = $1",
    "disabled": "update api_key set disabled_at = clock_timestamp(), denied_up_to = clock_timestamp() where id = $1",
    "expired": "update api_key set expires_at = clock_timestamp() where id = $1",
    "unknown_key": "update api_key set deleted_at = clock_timestamp(), denied_up_to = clock_timestamp() where id = $1",
    "suspended": "update account set suspended_at = clock_timestamp() where id = (select account_id from api_key where id = $1)",
}


@pytest.mark.parametrize("reason", ENDINGS)
async def test_an_exchange_that_waited_for_a_revocation_sees_it(reason, issue, database, database_url, connection):
    """The trap: the state in the snapshot of a statement that waits is older than what it waits for."""
    key = await make_key(database)
    other = await connect(database_url)
    transaction = other.transaction()
    await transaction.start()
    await other.execute(ENDINGS[reason], key.listed.record.id)
    waiting = [asyncio.create_task(issue(key)) for _ in range(3)]
    await wait_for_waiters(connection, 3)
    await transaction.commit()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [error.reason for error in results if isinstance(error, InvalidClientError)] == [reason] * 3
    await other.close()


async def test_an_exchange_that_waited_for_a_change_that_was_rolled_back_gets_its_token(issue, database, database_url, connection):
    key = await make_key(database)
    other = await connect(database_url)
    transaction = other.transaction()
    await transaction.start()
    await other.execute(ENDINGS["revoked"], key.listed.record.id)
    waiting = asyncio.create_task(issue(key))
    await wait_for_waiters(connection)
    await transaction.rollback()
    assert (await waiting).client_id == key.listed.record.id
    await other.close()


async def test_an_exchange_that_waited_takes_its_clock_after_the_wait(started, database, database_url, connection):
    del started
    key = await make_key(database)
    other = await connect(database_url)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("select from api_key where id = $1 for no key update", key.listed.record.id)
    async with database.connection() as mine:
        waiting = asyncio.create_task(judge_exchange(mine, digest=key.key.digest))
        await wait_for_waiters(connection)
        released = await connection.fetchval("select clock_timestamp()")
        await transaction.commit()
        verdict = await waiting
    assert verdict is not None
    assert verdict.at >= released
    await other.close()


async def test_exchanges_of_one_key_do_not_wait_for_each_other(issue, database, database_url):
    key = await make_key(database)
    other = await connect(database_url)
    async with other.transaction():
        assert await judge_exchange(other, digest=key.key.digest) is not None
        assert (await asyncio.wait_for(issue(key), 0.9)).client_id == key.listed.record.id
    await other.close()


async def test_every_token_lies_under_the_watermark_of_a_revocation_that_raced_it(issue, database):
    """300 keys, each exchanged by several at once while it is stopped in one of the ways."""
    stops = [api_keys.revoke_key, api_keys.disable_key, api_keys.delete_key]

    async def race(number: int) -> int:
        key = await make_key(database)
        record = key.listed.record
        issued: list[int] = []

        async def hammer() -> None:
            try:
                while True:
                    issued.append((await issue(key)).iat)
            except InvalidClientError:
                return

        hammers = [asyncio.create_task(hammer()) for _ in range(2)]
        await asyncio.sleep(0.001 * (number % 7))
        if number % 4 == 3:
            await accounts.suspend_account(database, record.account_id, actor=ACTOR)
        else:
            await stops[number % 4](database, record.id, actor=ACTOR)
        with pytest.raises(InvalidClientError):
            await issue(key)
        await asyncio.wait_for(asyncio.gather(*hammers), 5)
        watermarks[record.id] = watermarks[record.account_id] = max(issued, default=0)
        return len(issued)

    await make_key(database)  # from now on the capabilities are known
    watermarks: dict[str, int] = {}
    total = 0
    for start in range(0, 300, 3):
        total += sum(await asyncio.gather(*(race(start + n) for n in range(3))))
    rows = await list_denylist(database)
    assert len(rows) == 300
    assert all(row.revocation.upto is not None and watermarks[row.revocation.value] <= row.revocation.upto for row in rows)
    assert total > 100, "the race must have been one"


async def test_a_key_that_is_exchanged_all_the_time_can_still_be_revoked(issue, database):
    key = await make_key(database)
    done = asyncio.Event()

    async def hammer() -> None:
        try:
            while not done.is_set():
                await issue(key)
        except InvalidClientError:
            return

    hammers = [asyncio.create_task(hammer()) for _ in range(8)]
    await asyncio.sleep(0.3)
    started = time.monotonic()
    try:
        await api_keys.revoke_key(database, key.listed.record.id, actor=ACTOR)
        assert time.monotonic() - started < 1
    finally:
        done.set()
        await asyncio.gather(*hammers)


@pytest.mark.parametrize("what", ["key", "account", "tokens"])
async def test_a_token_after_a_stop_and_go_within_one_second_is_not_born_dead(what, issue, database):
    key = await make_key(database)
    record = key.listed.record
    if what == "key":
        await api_keys.disable_key(database, record.id, actor=ACTOR)
        await api_keys.enable_key(database, record.id, actor=ACTOR)
    elif what == "account":
        await accounts.suspend_account(database, record.account_id, actor=ACTOR)
        await accounts.resume_account(database, record.account_id, actor=ACTOR)
    else:
        await api_keys.update_key(database, record.id, api_keys.KeyChanges(), actor=ACTOR, end_tokens=True)
    claims = await issue(key)
    (row,) = await list_denylist(database)
    assert row.revocation.upto is not None
    assert claims.iat > row.revocation.upto
    assert claims.iat <= time.time(), "it waited; it did not lie"


async def test_a_token_judged_before_a_revocation_does_not_outlive_its_watermark(database, settings, started):
    """An audience with a longer life that appears between the verdict and the claims must not stretch the token."""
    mirror = Mirror(database, settings, started.master_key)
    await mirror.refresh_once()
    key = await make_key(database)

    class Slow(Ledger):
        async def judge(self, credential) -> Verdict | None:
            verdict = await super().judge(credential)
            await api_keys.revoke_key(database, key.listed.record.id, actor=ACTOR)
            life = settings.issuing_policy.max_token_life
            await audiences.add_audience(database, settings, "late", token_life=life, actor=ACTOR)
            return verdict

    request = ExchangeRequest(credential=key.key, audience="late")
    try:
        claims = (await exchange(request, ledger=Slow(database), mirror=mirror, policy=settings.issuing_policy)).claims
    except OAuthError:
        return
    (row,) = await list_denylist(database)
    assert claims.exp <= row.revocation.exp
