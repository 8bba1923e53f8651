"""The ledger counts: limits are exact, and only what gets a token is counted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from tests.integration.exchanges import ACCOUNT_COUNTS, ask, read_counts
from tests.integration.things import ACTOR, make_key

from tokensvc.core.errors import (
    InvalidClientError,
    InvalidScopeError,
    InvalidTargetError,
)
from tokensvc.core.exchange import ExchangeRequest
from tokensvc.core.limit import LimitChanges
from tokensvc.issuer.admin import accounts, api_keys, tiers
from tokensvc.issuer.exchange.repeated_refusals import RepeatedRefusals


@pytest.mark.usefixtures("calm")
async def test_t34_a_key_gets_sixty_tokens_a_minute_and_not_one_more(
    exchange, database, connection
):
    key = await make_key(database)
    tokens, refused = await ask(exchange, key, 75)
    assert (len(tokens), len(refused)) == (60, 15)
    assert {(error.policy, error.limit) for error in refused} == {("key-minute", 60)}
    assert all(1 <= error.retry_after <= 60 for error in refused)
    assert await read_counts(connection, key) == (60, 60)
    assert (await ask(exchange, key))[0] == []
    assert await read_counts(connection, key) == (60, 60), "refused requests do not count"


@pytest.mark.usefixtures("calm")
async def test_t40_who_goes_on_over_a_limit_is_refused_from_memory_for_a_second(exchange, database):
    now = 120.0
    memory = RepeatedRefusals(often=10, clock=lambda: now)
    exchange = replace(exchange, repeated_refusals=memory)
    key = await make_key(database)
    record = key.listed.record
    one = api_keys.KeyChanges(limits=LimitChanges(per_minute=1))
    await api_keys.update_key(database, record.id, one, actor=ACTOR)
    tokens, refused = await ask(exchange, key, 11)
    assert (len(tokens), len(refused)) == (1, 10)
    many = api_keys.KeyChanges(limits=LimitChanges(per_minute=100))
    await api_keys.update_key(database, record.id, many, actor=ACTOR)
    (refusal,) = (await ask(exchange, key))[1]
    assert (refusal.policy, refusal.limit) == ("key-minute", 1), "as Postgres said last"
    assert len((await ask(exchange, key, scope=frozenset({"orders:read"})))[0]) == 1
    now += 1
    assert len((await ask(exchange, key))[0]) == 1


@pytest.mark.usefixtures("calm")
async def test_t40_a_key_that_asks_for_what_it_lacks_is_refused_from_memory_and_gets_what_it_has(
    exchange, database
):
    exchange = replace(exchange, repeated_refusals=RepeatedRefusals(often=10, clock=lambda: 120.0))
    key = await make_key(database)
    for number in range(10):
        ((refusal,),) = (await ask(exchange, key, scope=frozenset({f"x:{number}"})))[1:]
        assert isinstance(refusal, InvalidScopeError)
    judged = REGISTRY.get_sample_value("tokensvc_ledger_batch_size_sum") or 0
    ((refusal,),) = (await ask(exchange, key, scope=frozenset({"x:y", "orders:read"})))[1:]
    assert isinstance(refusal, InvalidScopeError)
    assert REGISTRY.get_sample_value("tokensvc_ledger_batch_size_sum") == judged
    assert len((await ask(exchange, key, scope=frozenset({"orders:read"})))[0]) == 1


@pytest.mark.usefixtures("calm")
async def test_the_headers_of_a_batch_count_down_in_order_of_arrival(exchange, database):
    key = await make_key(database)
    request = ExchangeRequest(credential=key.key)
    issued = await asyncio.gather(*(exchange.issue(request, "test") for _ in range(10)))
    left = [i.decision.verdict.quota.key_minute_left + i.decision.unspent for i in issued]
    assert left == list(range(59, 49, -1))


@pytest.mark.usefixtures("calm")
async def test_the_account_caps_all_its_keys_together(exchange, database, connection):
    first = await make_key(database)
    account = first.listed.record.account_id
    await accounts.update_account(
        database, account, limits=LimitChanges(per_minute=50), actor=ACTOR
    )
    keys = [first, *[await make_key(database, account=account) for _ in range(3)]]
    results = await asyncio.gather(*(ask(exchange, key, 30) for key in keys))
    assert sum(len(tokens) for tokens, _ in results) == 50
    assert {error.policy for _, refused in results for error in refused} == {"account-minute"}
    assert tuple(await connection.fetchrow(ACCOUNT_COUNTS, account)) == (50, 50)
    assert sum([(await read_counts(connection, key))[0] for key in keys]) == 50


@pytest.mark.usefixtures("calm")
async def test_a_day_has_its_own_limit(exchange, database, connection):
    key = await make_key(database)
    await api_keys.update_key(
        database,
        key.listed.record.id,
        api_keys.KeyChanges(limits=LimitChanges(per_day=5)),
        actor=ACTOR,
    )
    before = await connection.fetchval("select clock_timestamp()")
    tokens, refused = await ask(exchange, key, 7)
    after = await connection.fetchval("select clock_timestamp()")
    assert (len(tokens), {error.policy for error in refused}) == (5, {"key-day"})
    midnight = (before + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    most, least = ((midnight - at).total_seconds() for at in (before, after))
    assert least - 1 <= refused[0].retry_after <= most + 1


async def test_a_new_minute_starts_anew_and_the_day_goes_on(exchange, database, connection):
    key = await make_key(database)
    await ask(exchange, key, 3)
    await connection.execute(
        "update api_key_window set minute = minute - interval '1 minute' where key_id = $1",
        key.listed.record.id,
    )
    await ask(exchange, key, 2)
    assert await read_counts(connection, key) == (2, 5)
    await connection.execute(
        "update api_key_window set day = day - interval '1 day' where key_id = $1",
        key.listed.record.id,
    )
    await ask(exchange, key, 1)
    assert (await read_counts(connection, key))[1] == 1


@pytest.mark.parametrize(
    ("ahead", "minute_count"), [("1 minute", 4), ("3 minutes", 1)], ids=["just ahead", "far ahead"]
)
async def test_a_clock_that_was_set_back_a_little_does_not_forget_what_was_counted(
    ahead, minute_count, exchange, database, connection
):
    key = await make_key(database)
    await ask(exchange, key, 3)
    await connection.execute(
        "update api_key_window"
        f" set minute = date_trunc('minute', clock_timestamp()) + interval '{ahead}'"
        " where key_id = $1",
        key.listed.record.id,
    )
    await ask(exchange, key, 1)
    assert (await read_counts(connection, key))[0] == minute_count


async def test_limits_come_from_the_tier_and_overrides_beat_it(exchange, database):
    await tiers.create_tier(
        database, "tiny", key_per_minute=3, key_per_day=100, account_per_minute=4, actor=ACTOR
    )
    key = await make_key(database)
    record = key.listed.record
    await accounts.update_account(
        database, record.account_id, limits=LimitChanges(tier="tiny"), actor=ACTOR
    )
    quota = (await ask_quota(exchange, key))[:4]
    assert quota == (3, 100, 4, 1000)
    await api_keys.update_key(
        database, record.id, api_keys.KeyChanges(limits=LimitChanges(tier="default")), actor=ACTOR
    )
    assert (await ask_quota(exchange, key))[:4] == (60, 5000, 4, 1000)
    await api_keys.update_key(
        database,
        record.id,
        api_keys.KeyChanges(limits=LimitChanges(per_minute=7, per_day=70)),
        actor=ACTOR,
    )
    await accounts.update_account(
        database, record.account_id, limits=LimitChanges(per_minute=9, per_day=90), actor=ACTOR
    )
    assert (await ask_quota(exchange, key))[:4] == (7, 70, 9, 90)
    await tiers.update_tier(database, "tiny", key_per_minute=5, actor=ACTOR)
    await api_keys.update_key(
        database,
        record.id,
        api_keys.KeyChanges(limits=LimitChanges(tier="", per_minute=0)),
        actor=ACTOR,
    )
    assert (await ask_quota(exchange, key))[:4] == (5, 70, 9, 90)


async def ask_quota(exchange, key):
    issued = await exchange.issue(ExchangeRequest(credential=key.key), "test")
    return tuple(issued.decision.verdict.quota)


@pytest.mark.usefixtures("calm")
async def test_only_what_gets_a_token_is_counted(exchange, issue, database, connection):
    key = await make_key(database)
    token = await issue(key)
    for wanted, error in (
        ({"scope": frozenset({"more"})}, InvalidScopeError),
        ({"audience": "nowhere"}, InvalidTargetError),
        ({"client_id": "key_other"}, InvalidClientError),
    ):
        tokens, refused = await ask(exchange, key, 3, **wanted)
        assert (tokens, [type(e) for e in refused]) == ([], [error] * 3)
    tokens, refused = await ask(exchange, token, 2, scope=frozenset({"more"}))
    assert (tokens, [type(e) for e in refused]) == ([], [InvalidScopeError] * 2)
    assert await read_counts(connection, key) == (1, 1)
    await ask(exchange, token, 2, scope=frozenset({"orders:read"}))
    assert await read_counts(connection, key) == (3, 3), (
        "a narrowed token counts for the key behind it"
    )
    await exchange.usage.flush_once()
    rows = await connection.fetch(
        "select outcome, count from api_key_usage where key_id = $1", key.listed.record.id
    )
    refusals = {"invalid_scope": 5, "invalid_target": 3, "wrong_client_id": 3}
    assert dict(rows) == {"issued": 3, **refusals}


@pytest.mark.usefixtures("calm")
async def test_bad_requests_among_good_ones_take_nothing_from_them(exchange, database, connection):
    key = await make_key(database)
    good = ExchangeRequest(credential=key.key)
    bad = ExchangeRequest(credential=key.key, scope=frozenset({"more"}))
    results = await asyncio.gather(
        *(exchange.issue(r, "t") for _ in range(60) for r in (bad, good)), return_exceptions=True
    )
    assert sum(not isinstance(result, Exception) for result in results) == 60
    assert await read_counts(connection, key) == (60, 60)
