"""Keys that rotate themselves, over HTTP, and what ends them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests import endings
from tests.integration.things import ACTOR, list_acts, read_payload, revoke_keys
from tests.rows import load_key
from tests.web.asking import get_own_token, get_token
from tests.web.operating import Caller, make_caller

from tokensvc.issuer.admin import api_keys
from tokensvc.web.app_keys import SERVICE

ROTATE = "POST /v1/keys/self/rotate"


async def rotate_itself(client, text, **request):
    made = await Caller(client, text)(ROTATE, request)
    assert made.status == 201, made.body
    return made.body


async def show(client, text):
    """Ask for a token with a key; return the status."""
    return (await Caller(client, text)("POST /v1/token")).status


async def test_a_key_without_capabilities_of_ours_rotates_itself(client, database):
    caller, key = await make_caller(
        client,
        database,
        "orders:read",
        audiences=["api"],
        networks=["127.0.0.0/8"],
        metadata={"team": "a"},
        claims={"plan": "gold"},
        life=timedelta(days=3),
    )
    old = key.listed.record
    made = await caller(ROTATE, {"grace": 60})
    assert made.status == 201
    assert made.body["predecessor"] == old.id
    assert old.expires_at is not None
    assert made.body["expires_at"] == old.expires_at.isoformat().replace("+00:00", "Z")
    facts = ("capabilities", "audiences", "networks", "metadata", "claims", "account", "name")
    shown = (await Caller(client, made.body["key"])("GET /v1/whoami")).body
    assert shown["key"] == made.body["id"]
    assert {name: made.body[name] for name in facts} == {
        "capabilities": ["orders:read"],
        "audiences": ["api"],
        "networks": ["127.0.0.0/8"],
        "metadata": {"team": "a"},
        "claims": {"plan": "gold"},
        "account": old.account_id,
        "name": "ci",
    }
    left = (await load_key(database, old.id)).record
    assert left.expires_at is not None
    assert left.expires_at - key.listed.at < timedelta(seconds=90)
    assert await list_acts(database, old.id) == ["keys.create", "keys.rotate-self"]
    again = await caller(ROTATE)
    assert (again.status, again.code) == (409, "conflict")


async def test_only_the_key_itself_can_do_it(client, database):
    caller, key = await make_caller(client, database, "tokensvc:admin")
    token = await get_own_token(client, key, "tokensvc:admin")
    refused = await Caller(client, token)(ROTATE)
    assert (refused.status, refused.code) == (403, "forbidden")
    assert "token cannot" in refused.body["detail"]
    assert (await Caller(client, None)(ROTATE)).status == 401
    changes = api_keys.KeyChanges(self_rotation=False)
    await api_keys.update_key(database, key.listed.record.id, changes, actor=ACTOR)
    refused = await caller(ROTATE)
    assert (refused.status, refused.code) == (403, "forbidden")
    assert await list_acts(database, key.listed.record.id) == ["keys.create", "keys.update"]


async def test_of_many_at_once_one_makes_a_successor(client, database):
    caller, _ = await make_caller(client, database, "orders:read")
    answers = await asyncio.gather(*(caller.insist(ROTATE) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 7


async def test_a_repeat_by_name_gets_the_same_successor(client, database):
    caller, _ = await make_caller(client, database, "orders:read")
    headers = {"Idempotency-Key": "one"}
    first, second = [await caller(ROTATE, {}, headers=headers) for _ in range(2)]
    assert second.body == {**first.body, "replayed": True}


async def test_revoking_a_key_revokes_what_it_made_itself(client, database):
    caller, key = await make_caller(client, database, "orders:read")
    one = await rotate_itself(client, key.key.text)
    two = await rotate_itself(client, one["key"])
    token = (await Caller(client, two["key"])("POST /v1/token")).body["access_token"]
    ended = await endings.revoke_key(database, key.listed.record.id, actor=ACTOR)
    assert {record.revocation.value for record in ended.records} == {
        key.listed.record.id,
        one["id"],
        two["id"],
    }
    for made in (one, two):
        assert (await load_key(database, made["id"])).state == "revoked"
        assert (await list_acts(database, made["id"]))[-1] == "keys.revoke"
    assert await show(client, two["key"]) == 401
    answer = await client.app[SERVICE].callers.introspection.find(token)
    assert answer is None
    assert (await caller("GET /v1/whoami")).status == 401


async def test_the_holder_of_a_key_ends_what_a_thief_has_made_of_it(client, database):
    _, key = await make_caller(client, database, "orders:read")
    stolen = await rotate_itself(client, key.key.text)
    answer = await client.post("/v1/revoke", data={"token": key.key.text})
    assert answer.status == 200
    assert await show(client, stolen["key"]) == 401


async def test_t30_an_owner_that_rotates_its_own_key_as_others_has_made_the_successor_too(
    client, database
):
    caller, key = await make_caller(client, database, "tokensvc:keys", "orders:read")
    stolen = (await caller(f"POST /v1/keys/{key.listed.record.id}/rotate")).body
    await revoke_keys(database, [key.listed.record.id])
    assert await show(client, stolen["key"]) == 401


@pytest.mark.parametrize("act", ["revoke", "delete"])
async def test_whoever_ends_a_key_decides_about_its_successors(client, database, admin, act):
    _, key = await make_caller(client, database, "orders:read")
    made = await rotate_itself(client, key.key.text)
    path = f"/v1/keys/{key.listed.record.id}"
    if act == "delete":
        assert (await admin(f"DELETE {path}")).status == 200
        left = await load_key(database, made["id"])
        assert left.state == "revoked"
        return
    assert (await admin(f"POST {path}/revoke", {"keep_successors": True})).status == 200
    assert await show(client, made["key"]) == 200
    assert (await admin(f"POST {path}/revoke")).status == 200
    assert await show(client, made["key"]) == 401


async def test_a_successor_that_somebody_else_made_stays(client, database, admin):
    _, key = await make_caller(client, database, "orders:read")
    made = (await admin(f"POST /v1/keys/{key.listed.record.id}/rotate")).body
    await revoke_keys(database, [key.listed.record.id])
    assert await show(client, made["key"]) == 200


async def test_the_trail_tells_once_a_day_that_a_rotated_key_is_still_used(client, database):
    caller, key = await make_caller(client, database, "orders:read")
    await rotate_itself(client, key.key.text, grace=0)
    usage = client.app[SERVICE].exchange.usage
    for _ in range(2):
        assert await show(client, key.key.text) == 401
        assert (await caller("GET /v1/whoami")).status == 401
        await usage.flush_once()
    acts = await list_acts(database, key.listed.record.id)
    assert acts == ["keys.create", "keys.rotate-self", "key.used_after_end"]


async def test_a_token_for_the_service_says_when_the_key_was_shown(client, database):
    _, key = await make_caller(client, database, "tokensvc:read", "orders:read")
    token = await get_own_token(client, key, "tokensvc:read")
    said = read_payload(token)
    assert said["auth_time"] == said["iat"]
    assert said["exp"] - said["iat"] == 3600
    await asyncio.sleep(1.1)
    narrowed = read_payload((await get_token(client, token, scope="tokensvc:read"))["access_token"])
    assert narrowed["auth_time"] == said["auth_time"] < narrowed["iat"]
    other = await get_token(client, key)
    assert "auth_time" not in read_payload(other["access_token"])
