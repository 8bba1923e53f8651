"""Who the caller is, and what is left of its limits."""

from __future__ import annotations

from datetime import datetime

import pytest
from tests.integration.things import make_key, read_payload
from tests.web.asking import get_own_token, get_token
from tests.web.operating import Caller


@pytest.mark.usefixtures("calm")
async def test_a_caller_sees_what_is_left_of_its_minute_its_day_and_its_calls(client, database):
    key = await make_key(database, capabilities=("orders:read", "tokensvc:keys"), per_minute=7)
    caller = Caller(client, key.key.text)
    before = {limit["name"]: limit for limit in (await caller("GET /v1/whoami")).body["limits"]}
    assert (before["key-minute"]["limit"], before["key-minute"]["left"]) == (7, 7)
    await get_token(client, key)
    after = {limit["name"]: limit for limit in (await caller("GET /v1/whoami")).body["limits"]}
    assert {name: before[name]["left"] - after[name]["left"] for name in before} == {
        "calls-minute": 1, "key-minute": 1, "key-day": 1, "account-minute": 1, "account-day": 1,
    }  # fmt: skip
    assert 0 < after["key-minute"]["resets_in"] <= 60
    assert 0 < after["key-day"]["resets_in"] <= 86_400


async def test_a_token_is_fresh_for_ten_minutes_and_a_key_always(client, database):
    key = await make_key(database, capabilities=("tokensvc:keys",))
    token = await get_own_token(client, key, "tokensvc:keys")
    told = (await Caller(client, token)("GET /v1/whoami")).body
    until = datetime.fromisoformat(told["fresh_until"]).timestamp()
    assert until == read_payload(token)["auth_time"] + 600
    assert (await Caller(client, key.key.text)("GET /v1/whoami")).body["fresh_until"] is None
    assert "keys.create" in told["operations"]
    assert "accounts.create" not in told["operations"]
