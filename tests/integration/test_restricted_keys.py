"""Keys that may be used for some audiences only, from some networks only, and keys with claims."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.integration.exchanges import narrow, read_counts
from tests.integration.things import ACTOR, make_key, read_payload

from tokensvc.core.errors import (
    InvalidClientError,
    InvalidScopeError,
    InvalidSubjectTokenError,
    InvalidTargetError,
)
from tokensvc.core.exchange import ExchangeRequest
from tokensvc.issuer.admin import api_keys, audiences, key_rotation
from tokensvc.issuer.admin.api_keys import KeyChanges

HERE, ELSEWHERE = "192.0.2.7", "198.51.100.7"
NETWORK = "192.0.2.0/24"
_DAY = timedelta(days=1)


@pytest.fixture
async def two_audiences(database, settings, exchange):
    for name in ("orders", "billing"):
        await audiences.create_audience(database, settings, name, actor=ACTOR)
    await exchange.mirror.refresh_once()


@pytest.mark.usefixtures("two_audiences")
async def test_a_key_gets_tokens_for_its_audiences_only(database, issue):
    key = await make_key(database, audiences=["orders", "api"])
    assert (await issue(key)).claims.aud == "api"
    assert (await issue(key, audience="orders")).claims.aud == "orders"
    with pytest.raises(InvalidTargetError) as refused:
        await issue(key, audience="billing")
    assert refused.value.message == "this key may not ask for that audience: billing"
    with pytest.raises(InvalidTargetError, match="may not ask"):
        await issue(key, audience="nobody")


@pytest.mark.usefixtures("two_audiences")
async def test_without_a_parameter_the_only_audience_of_a_key_is_meant(database, issue):
    key = await make_key(database, audiences=["orders"])
    for _ in range(2):  # also when it is known to be restricted
        assert (await issue(key)).claims.aud == "orders"
    changes = KeyChanges(audiences=["billing"])
    await api_keys.update_key(database, key.listed.record.id, changes, actor=ACTOR)
    assert (await issue(key)).claims.aud == "billing"


@pytest.mark.usefixtures("two_audiences")
async def test_of_several_audiences_one_must_be_named(database, issue):
    key = await make_key(database, audiences=["orders", "billing"])
    with pytest.raises(InvalidTargetError, match=r"must be named: .*\(billing orders\)"):
        await issue(key)


async def test_a_key_is_refused_outside_its_networks_like_every_refused_key(
    database, issue, exchange, connection
):
    key = await make_key(database, networks=[NETWORK, "2001:db8::/48"])
    for good in (HERE, "2001:db8::1"):
        assert await issue(key, good)
    for bad in (ELSEWHERE, "2001:db9::1", "::1", None):
        with pytest.raises(InvalidClientError) as refused:
            await issue(key, bad)
        assert refused.value.message == "the API key is not accepted"
        assert refused.value.reason == "wrong_network"
    assert await read_counts(connection, key) == (2, 2)
    await exchange.usage.flush_once()
    counted = await connection.fetch("select outcome, count from api_key_usage order by outcome")
    assert [tuple(row) for row in counted] == [("issued", 2), ("wrong_network", 4)]


async def test_whoever_is_elsewhere_learns_nothing_of_the_key(database, issue):
    key = await make_key(database, networks=[NETWORK], capabilities=["tokensvc:keys"])
    for wanted in ({}, {"scope": frozenset({"x"})}, {"audience": "nobody"}):
        with pytest.raises(InvalidClientError):
            await issue(key, ELSEWHERE, **wanted)
    for wanted in ({}, {"scope": frozenset({"x"})}):
        with pytest.raises(InvalidScopeError):
            await issue(key, HERE, **wanted)


async def test_the_first_question_about_a_restricted_key_is_counted_nowhere(
    database, issue, exchange, connection
):
    key = await make_key(database, networks=[NETWORK])
    digest = key.key.digest
    assert exchange.restricted_keys.find(digest) is None
    await issue(key, HERE)
    assert exchange.restricted_keys.find(digest) == ()
    assert await read_counts(connection, key) == (1, 1)
    changes = KeyChanges(networks=[])
    await api_keys.update_key(database, key.listed.record.id, changes, actor=ACTOR)
    await issue(key, ELSEWHERE)
    assert exchange.restricted_keys.find(digest) is None


@pytest.mark.usefixtures("two_audiences")
async def test_narrowing_obeys_audiences_and_networks(database, exchange, issue):
    key = await make_key(database)
    issued = await issue(key, ELSEWHERE, audience="orders")
    changes = KeyChanges(networks=[NETWORK])
    await api_keys.update_key(database, key.listed.record.id, changes, actor=ACTOR)
    assert await exchange.issue(narrow(issued), "test", HERE)
    with pytest.raises(InvalidSubjectTokenError):
        await exchange.issue(narrow(issued), "test", ELSEWHERE)
    with pytest.raises(InvalidClientError):
        await exchange.issue(narrow(issued, client=key.key), "test", ELSEWHERE)
    changes = KeyChanges(audiences=["billing"])
    await api_keys.update_key(database, key.listed.record.id, changes, actor=ACTOR)
    with pytest.raises(InvalidTargetError):
        await exchange.issue(narrow(issued), "test", HERE)
    beside = narrow(issued, client=key.key, audience="billing")
    assert (await exchange.issue(beside, "test", HERE)).claims.aud == "billing"


async def test_a_client_beside_a_token_obeys_its_own_networks(database, exchange, issue):
    key = await make_key(database)
    other = await make_key(database, networks=[NETWORK])
    issued = await issue(key)
    request = narrow(issued, client=other.key)
    assert await exchange.issue(request, "test", HERE)
    with pytest.raises(InvalidClientError):
        await exchange.issue(request, "test", ELSEWHERE)


async def test_own_claims_stand_in_every_token_of_a_key(database, exchange, issue):
    claims = {"plan": "gold", "regions": ["eu", "é"], "nested": {"a": [1, None, True]}}
    key = await make_key(database, claims=claims)
    issued = await issue(key)
    assert issued.claims.extra == claims
    payload = read_payload(issued.text)
    assert {name: payload[name] for name in claims} == claims
    narrowed = await exchange.issue(narrow(issued), "test")
    assert narrowed.claims.extra == claims
    changes = KeyChanges(claims={"plan": "free"})
    await api_keys.update_key(database, key.listed.record.id, changes, actor=ACTOR)
    for again in (await issue(key), await exchange.issue(narrow(issued), "test")):
        assert again.claims.extra == {"plan": "free"}
        assert "regions" not in read_payload(again.text)


async def test_a_key_and_its_successor_are_counted_together(database, issue, connection):
    key = await make_key(database, per_minute=5)
    for _ in range(3):
        await issue(key)
    new = await key_rotation.rotate_key(
        database, key.listed.record.id, grace=_DAY, prefix="tsk-", actor=ACTOR
    )
    results = await asyncio.gather(
        *(issue(one) for _ in range(4) for one in (key, new)), return_exceptions=True
    )
    assert sum(not isinstance(result, Exception) for result in results) == 2
    assert await read_counts(connection, key) == (5, 5)
    assert await connection.fetchval("select count(*) from api_key_window") == 2  # and the admin's


async def test_keys_of_a_chain_with_other_limits_share_what_the_lower_one_leaves(
    database, connection, exchange
):
    old = await make_key(database, per_minute=6)
    new = await key_rotation.rotate_key(
        database, old.listed.record.id, grace=_DAY, prefix="tsk-", actor=ACTOR
    )
    await connection.execute(
        "update api_key set per_minute = 2 where id = $1", new.listed.record.id
    )
    requests = [ExchangeRequest(credential=key.key) for _ in range(9) for key in (old, new)]
    results = await asyncio.gather(
        *(exchange.issue(request, "test") for request in requests), return_exceptions=True
    )
    issued = [result for result in results if not isinstance(result, BaseException)]
    assert len(issued) == 6
    assert sum(token.claims.client_id == new.listed.record.id for token in issued) <= 2
    assert await read_counts(connection, old) == (6, 6)
