"""The overview: what all keys together did, and how many need a look."""

from __future__ import annotations

from tests.integration.things import make_key
from tests.web.asking import try_token
from tests.web.operating import Caller, make_caller


async def test_exchanges_are_added_up_and_an_owner_sees_those_of_the_own_account(
    client, database, service, admin
):
    owner, own = await make_caller(client, database, "tokensvc:keys", "orders:read")
    other = await make_key(database, capabilities=("orders:read",))
    for key, times in ((own, 2), (other, 3)):
        for _ in range(times):
            assert (await try_token(client, key, {"scope": "orders:read"}.items())).status == 200
    assert (await try_token(client, other, {"scope": "orders:write"}.items())).status == 400
    await service.exchange.usage.flush_once()
    everything = (await admin("GET /v1/overview")).body
    assert [(h["issued"], h["refused"]) for h in everything["hours"]] == [(5, {"invalid_scope": 1})]
    alone = (await owner("GET /v1/overview?since=3600")).body
    assert [hour["issued"] for hour in alone["hours"]] == [2]
    assert (alone["keys"]["total"], alone["keys"]["powerful"]) == (1, 0)
    assert alone["things"] is None


async def test_things_are_counted_and_an_owner_is_told_of_its_keys_alone(admin, key):
    before = (await admin("GET /v1/overview")).body["things"]
    made = (await admin("POST /v1/accounts", {"name": "Acme"})).body["id"]
    await admin("POST /v1/capabilities", {"name": "stock:read"})
    await admin("POST /v1/audiences", {"name": "orders"})
    await admin(f"POST /v1/keys/{key.listed.record.id}/revoke", {})
    after = (await admin("GET /v1/overview")).body["things"]
    assert after == {name: count + 1 for name, count in before.items()}
    await admin(f"DELETE /v1/accounts/{made}")
    assert (await admin("GET /v1/overview")).body["things"]["accounts"] == before["accounts"]


async def test_keys_that_need_a_look_are_counted(client, database, admin, connection):
    await make_key(database, capabilities=("tokensvc:admin",))
    old, soon, off, ended, over = [await make_key(database) for _ in range(5)]
    for statement, key in (
        ("update api_key set created_at = now() - interval '91 days' where id = $1", old),
        ("update api_key set expires_at = now() + interval '1 day' where id = $1", soon),
        ("update api_key set expires_at = now() - interval '1 day' where id = $1", over),
    ):
        await connection.execute(statement, key.listed.record.id)
    await admin(f"POST /v1/keys/{off.listed.record.id}/disable", {})
    await admin(f"POST /v1/keys/{ended.listed.record.id}/revoke", {})
    await admin(f"POST /v1/keys/{soon.listed.record.id}/rotate", {"grace": 3600})
    counts = (await Caller(client, admin.headers["Authorization"][7:])("GET /v1/overview")).body
    first = 1 + 1  # the key of the start, and the caller's
    assert counts["keys"] == {
        "total": first + 7,
        "active": first + 4,
        "disabled": 1,
        "revoked": 1,
        "expired": 1,
        "expiring": 2,
        "endless": first + 2,
        "idle": 1,
        "powerful": first + 1,
        "replaced": 1,
    }
