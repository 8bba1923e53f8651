"""Limits as clients see them."""

from __future__ import annotations

import asyncio
import re

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import REGISTRY
from tests import endings
from tests.factories import make_settings
from tests.integration.things import ACTOR, make_key, make_refused_keys
from tests.rows import load_key
from tests.web.asking import FORMS, ask, get_token, send, try_token

from tokensvc.core.api_key import new_api_key
from tokensvc.core.limit import LimitChanges
from tokensvc.issuer.admin import accounts, api_keys
from tokensvc.web.app_keys import SERVICE
from tokensvc.web.metrics_page import build_metrics_app

POLICY = '"key-minute";q=60;w=60, "key-day";q=5000;w=86400'


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("form", FORMS)
async def test_every_answer_tells_the_limits_and_what_is_left(form, client, key):
    for left in (59, 58):
        answer = await send(client, ask(form, key.key.text, key.listed.record.id))
        assert answer.headers["RateLimit-Policy"] == POLICY
        assert re.fullmatch(
            rf'"key-minute";r={left};t=([1-9]|[1-5][0-9]|60)', answer.headers["RateLimit"]
        )


@pytest.mark.usefixtures("calm")
async def test_the_tighter_limit_is_told(client, key, database):
    await api_keys.update_key(
        database,
        key.listed.record.id,
        api_keys.KeyChanges(limits=LimitChanges(per_day=30)),
        actor=ACTOR,
    )
    answer = await try_token(client, key)
    assert answer.headers["RateLimit-Policy"] == '"key-minute";q=60;w=60, "key-day";q=30;w=86400'
    assert answer.headers["RateLimit"].startswith('"key-day";r=29;t=')


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("form", FORMS)
async def test_over_a_limit_is_429_and_says_which_and_until_when(form, client, key, database, logs):
    record = key.listed.record
    await api_keys.update_key(
        database, record.id, api_keys.KeyChanges(limits=LimitChanges(per_minute=1)), actor=ACTOR
    )
    asked = ask(form, key.key.text, record.id)
    assert (await send(client, asked)).status == 200
    answer = await send(client, asked)
    assert (answer.status, answer.headers["Cache-Control"], answer.content_type) == (
        429,
        "no-store",
        "application/json",
    )
    body = await answer.json()
    assert body["error"] == "rate_limit_exceeded"
    assert re.fullmatch(
        r"the limit of 1 tokens per minute for this key is used up; "
        r"it starts anew at \d{4}-\d\d-\d\dT\d\d:\d\d:00Z",
        body["error_description"],
    )
    wait = int(answer.headers["Retry-After"])
    assert 1 <= wait <= 60
    assert (answer.headers["RateLimit-Policy"], answer.headers["RateLimit"]) == (
        '"key-minute";q=1;w=60',
        f'"key-minute";r=0;t={wait}',
    )
    line = logs.find("request")[-1]
    assert (line["status"], line["reason"]) == (429, "key_minute_limited")


@pytest.mark.usefixtures("calm")
async def test_the_account_is_named_only_when_it_is_what_stands_in_the_way(client, key, database):
    await accounts.update_account(
        database, key.listed.record.account_id, limits=LimitChanges(per_minute=1), actor=ACTOR
    )
    assert "account" not in str((await try_token(client, key)).headers)
    answer = await try_token(client, key)
    assert (answer.status, answer.headers["RateLimit-Policy"]) == (429, '"account-minute";q=1;w=60')
    assert "for this account" in (await answer.json())["error_description"]


async def test_t38_unknown_keys_of_a_network_lock_none_of_its_honest_keys_out(
    database, started, settings, new_client, connection
):
    del started
    known, fresh = await make_key(database), await make_key(database)
    client = await new_client(settings.model_copy(update={"unknown_keys_per_minute": 5}))
    await get_token(client, known)
    guesses = [asyncio.create_task(guess(client)) for _ in range(20)]
    await asyncio.gather(*guesses[:5])
    for key in (known, fresh):
        await get_token(client, key)
    assert {answer.status for answer in await asyncio.gather(*guesses)} == {401}
    refused = await make_refused_keys(database, connection)
    answers = await asyncio.gather(*(try_token(client, key) for key in refused.values()))
    bodies = {(answer.status, await answer.text()) for answer in (*answers, await guess(client))}
    assert len(bodies) == 1, "T20: keys that exist are refused as those that never did"


async def test_t19_a_key_with_a_wrong_checksum_is_refused_at_once(client, logs):
    answer = await client.post("/v1/token", headers={"Authorization": "Bearer tsk-junk"})
    assert answer.status == 401
    assert logs.find("request")[-1]["reason"] == "malformed_key"


async def guess(client):
    """Show a key that never existed; return the answer."""
    return await client.post("/v1/token", headers={"Authorization": f"Bearer {new_api_key().text}"})


async def test_networks_are_told_apart_behind_a_trusted_proxy(started, settings, new_client):
    del started
    client = await new_client(
        settings.model_copy(update={"unknown_keys_per_minute": 1, "trusted_proxy_hops": 1})
    )
    headers = {
        "Authorization": f"Bearer {new_api_key().text}",
        "X-Forwarded-For": "10.0.0.1, 192.0.2.1:4711",
    }
    assert (await client.post("/v1/token", headers=headers)).status == 401
    guard = client.app[SERVICE].exchange.guard
    assert guard.suspects("192.0.2.0/24")
    assert not guard.suspects("198.51.100.0/24")
    assert not guard.suspects("127.0.0.0/24")


async def test_usage_tells_networks_and_reasons(client, service, key, database, connection):
    await get_token(client, key)
    await try_token(client, key, [("scope", "more")])
    await endings.disable_key(database, key.listed.record.id, actor=ACTOR)
    await try_token(client, key)
    await service.exchange.usage.flush_once()
    rows = await connection.fetch(
        "select outcome, count from api_key_usage where key_id = $1", key.listed.record.id
    )
    assert dict(rows) == {"issued": 1, "invalid_scope": 1, "disabled": 1}
    record = (await load_key(database, key.listed.record.id)).record
    assert (record.last_used_network, record.last_used_audience) == ("127.0.0.0/24", "api")


async def test_usage_is_written_by_itself_and_at_the_end(
    database, started, settings, new_client, connection
):
    del started
    key = await make_key(database)
    client = await new_client(settings)
    await get_token(client, key)
    await client.close()
    assert (
        await connection.fetchval(
            "select count from api_key_usage where key_id = $1", key.listed.record.id
        )
        == 1
    )


async def test_metrics_tell_how_exchanges_end_and_no_ids(client, key):
    before = await _exchanges(client)
    await get_token(client, key)
    await try_token(client, key, [("audience", "nowhere")])
    await client.post("/v1/token", headers={"Authorization": "Bearer junk"})
    await asyncio.sleep(1.1)  # until then, the same page is answered
    after = await _exchanges(client)
    new = {outcome: after[outcome] - before.get(outcome, 0) for outcome in after}
    assert {outcome: count for outcome, count in new.items() if count} == {
        "issued": 1,
        "invalid_target": 1,
        "malformed_key": 1,
    }
    await asyncio.sleep(1.1)
    text = await (await client.get("/metrics")).text()
    assert 'tokensvc_http_request_duration_seconds_count{route="/v1/token",status="200"}' in text
    assert "tokensvc_ledger_batch_size_sum" in text
    assert key.listed.record.id not in text


async def test_metrics_have_the_form_that_prometheus_accepts(client):
    accepted = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4"
    answer = await client.get("/metrics", headers={"Accept": accepted})
    text = await answer.text()
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert (answer.headers["Vary"], text.endswith("# EOF\n")) == ("Accept", True)
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_metrics_can_have_a_port_of_their_own(started, settings, new_client):
    del started
    client = await new_client(settings.model_copy(update={"metrics_port": 9090}))
    assert (await client.get("/metrics")).status == 404
    async with TestClient(TestServer(build_metrics_app())) as apart:
        answer = await apart.get("/metrics")
        assert (answer.status, "tokensvc_exchanges" in await answer.text()) == (200, True)
        assert (await apart.get("/.well-known/jwks.json")).status == 404


async def _exchanges(client) -> dict[str, float]:
    answer = await client.get("/metrics")
    assert (answer.status, answer.content_type, answer.headers["Cache-Control"]) == (
        200,
        "text/plain",
        "no-store",
    )
    lines = re.findall(
        r'^tokensvc_exchanges_total\{outcome="(\w+)"\} (\S+)$', await answer.text(), re.MULTILINE
    )
    return {outcome: float(count) for outcome, count in lines}


def test_settings_of_limits_are_bounded():
    assert (
        make_settings(
            ledger_queue=1, unknown_keys_per_minute=1, trusted_proxy_hops=10, usage_days=1
        ).ledger_queue
        == 1
    )


@pytest.mark.usefixtures("calm", "fresh_minute")
async def test_t40_refusals_come_late_to_a_network_that_is_refused_often_whatever_for(
    settings, started, key, logs, new_client
):
    del started
    before = REGISTRY.get_sample_value("tokensvc_late_refusals_total") or 0
    client = await new_client(settings.model_copy(update={"refusals_per_minute": 2}))
    assert (await client.get("/nowhere")).status == 404
    headers = {"Authorization": "Bearer tsk-junk"}
    assert (await client.post("/v1/token", headers=headers)).status == 401
    assert (await client.get("/v1/token")).status == 405
    (line,) = logs.find("network_refused_often")
    assert (line["network"], line["refused"]) == ("127.0.0.0/24", 2)
    assert (await try_token(client, key)).status == 200, "what is granted does not wait"
    assert (REGISTRY.get_sample_value("tokensvc_late_refusals_total") or 0) - before == 2
