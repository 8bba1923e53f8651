"""Calls of operations are limited per key and minute, exactly, by all processes together."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from testbed.ports import find_free_port
from tests.web.asking import get_own_token
from tests.web.operating import Caller, make_caller

from tokensvc.issuer.cleaning import delete_in_steps
from tokensvc.store.call_window import delete_call_windows

LIMIT = 5


@pytest.fixture
async def processes(started, settings, new_client, calm):
    """Two services on one database."""
    del started, calm
    limited = settings.model_copy(update={"calls_per_minute": LIMIT, "issuer": settings.issuer_url})
    other = limited.model_copy(update={"port": find_free_port()})
    return [await new_client(limited), await new_client(other)]


async def test_as_many_calls_are_admitted_as_the_limit_says_and_not_one_more(processes, database):
    caller, key = await make_caller(processes[0], database, "tokensvc:read")
    token = await get_own_token(processes[0], key, "tokensvc:read")
    callers = [caller, *(Caller(client, token) for client in processes)]
    answers = await asyncio.gather(
        *(callers[number % 3].insist("GET /v1/whoami") for number in range(3 * LIMIT))
    )
    admitted = [answer for answer in answers if answer.status == 200]
    refused = [answer for answer in answers if answer.status == 429]
    assert (len(admitted), len(refused)) == (LIMIT, 2 * LIMIT)
    left = sorted(answer.body["limits"][0]["left"] for answer in admitted)
    assert left == list(range(LIMIT))
    for answer in admitted:
        assert answer.headers["RateLimit-Policy"] == f'"calls-minute";q={LIMIT};w=60'
        assert answer.headers["RateLimit"].startswith('"calls-minute";r=')
    for answer in refused:
        assert answer.code == "rate_limit_exceeded"
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert answer.headers["RateLimit"].startswith('"calls-minute";r=0;t=')
    another, _ = await make_caller(processes[1], database, "tokensvc:read")
    assert (await another("GET /v1/whoami")).status == 200


async def test_a_new_minute_begins_anew_and_old_counts_are_deleted(processes, database, connection):
    caller, _ = await make_caller(processes[0], database, "tokensvc:read")
    for _ in range(LIMIT):
        assert (await caller("GET /v1/whoami")).status == 200
    assert (await caller("GET /v1/whoami")).status == 429
    await connection.execute("update call_window set minute = minute - interval '1 minute'")
    answer = await caller("GET /v1/whoami")
    assert (answer.status, answer.body["limits"][0]["left"]) == (200, LIMIT - 1)
    now = await connection.fetchval("select clock_timestamp()")
    await delete_in_steps(database, delete_call_windows, now + timedelta(minutes=1))
    assert await connection.fetchval("select count(*) from call_window") == 0


async def test_a_clock_that_is_set_back_a_little_gives_no_fresh_limit(
    processes, database, connection
):
    caller, _ = await make_caller(processes[0], database, "tokensvc:read")
    for _ in range(LIMIT):
        await caller("GET /v1/whoami")
    await connection.execute("update call_window set minute = minute + interval '1 minute'")
    answer = await caller("GET /v1/whoami")
    assert answer.status == 429
    assert 60 <= int(answer.headers["Retry-After"]) <= 120
