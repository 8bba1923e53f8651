"""The same act on many keys: each key has an outcome of its own."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.things import make_key
from tests.web.operating import Caller

UNKNOWN = "key_0000000000000000"


async def make_keys(database, number, **more):
    keys = [await make_key(database, **more) for _ in range(number)]
    return [key.listed.record.id for key in keys]


def name(*key_ids, **changes):
    return [{"id": key_id} | ({"changes": changes} if changes else {}) for key_id in key_ids]


class Owner(Caller):
    """A caller that manages the keys of its account."""

    def __init__(self, client, key):
        super().__init__(client, key.key.text)
        self.key_id, self.account = key.listed.record.id, key.listed.record.account_id


@pytest.fixture
async def owner(client, database):
    key = await make_key(database, capabilities=("tokensvc:keys", "orders:read"))
    return Owner(client, key)


async def test_keys_are_disabled_enabled_changed_and_revoked_in_the_order_asked(admin, database):
    ids = sorted(await make_keys(database, 3), reverse=True)
    for act, changes, state in (
        ("disable", {}, "disabled"),
        ("disable", {}, "disabled"),
        ("enable", {}, "active"),
        ("update", {"description": "nightly", "expires_in": 60}, "active"),
        ("revoke", {}, "revoked"),
    ):
        answer = await admin("POST /v1/keys/batch", {"act": act, "items": name(*ids, **changes)})
        assert answer.status == 200
        assert answer.body["items"] == [
            {"id": key_id, "done": True, "state": state, "code": None, "detail": None}
            for key_id in ids
        ]
    shown = (await admin(f"GET /v1/keys/{ids[0]}")).body
    assert (shown["description"], shown["state"]) == ("nightly", "revoked")
    events = (await admin(f"GET /v1/audit-events?subject={ids[0]}")).body["items"]
    assert [event["operation"] for event in reversed(events)] == [
        "keys.create", "keys.disable", "keys.enable", "keys.update", "keys.revoke",
    ]  # fmt: skip


@pytest.mark.parametrize("act", ["disable", "enable", "update"])
async def test_what_is_refused_for_one_key_does_not_touch_the_others(admin, database, act):
    good, revoked = sorted(await make_keys(database, 2))
    await admin(f"POST /v1/keys/{revoked}/revoke", {})
    items = name(revoked, UNKNOWN, good, **({"description": "new"} if act == "update" else {}))
    answer = await admin("POST /v1/keys/batch", {"act": act, "items": items})
    assert [(item["done"], item["code"]) for item in answer.body["items"]] == [
        (False, "conflict"), (False, "not_found"), (True, None),
    ]  # fmt: skip
    assert "create a new key instead" in answer.body["items"][0]["detail"]


async def test_a_wrong_change_of_one_key_is_refused_alone(admin, database):
    slip, tier, good = await make_keys(database, 3)
    await admin("POST /v1/capabilities", {"name": "invoices:read"})
    items = [
        *name(slip, capabilities=["invoices:raed"]),
        *name(tier, tier="absent"),
        *name(good, capabilities=["invoices:read"]),
    ]
    answer = await admin("POST /v1/keys/batch", {"act": "update", "items": items})
    assert [item["code"] for item in answer.body["items"]] == ["invalid_input", "not_found", None]
    assert (await admin(f"GET /v1/keys/{good}")).body["capabilities"] == ["invoices:read"]


async def test_a_key_that_is_named_twice_and_what_does_not_go_with_the_act_are_refused(
    admin, database
):
    (key_id,) = await make_keys(database, 1)
    twice = await admin("POST /v1/keys/batch", {"act": "revoke", "items": name(key_id, key_id)})
    assert (twice.status, twice.faults) == (
        400, {"#/items/1/id": "this key is named twice: it is item 0 as well"},
    )  # fmt: skip
    for act, items, text in (
        ("update", name(key_id), "update needs changes"),
        ("enable", name(key_id, description="x"), "changes go with update, not with enable"),
    ):
        answer = await admin("POST /v1/keys/batch", {"act": act, "items": items})
        assert (answer.status, answer.faults) == (400, {"#/items/0/changes": text})
    for act, changes in (("enable", {}), ("update", {"description": "x"})):
        wish = {"act": act, "items": name(key_id, **changes), "reason": "paid again"}
        answer = await admin("POST /v1/keys/batch", wish)
        text = f"a reason goes with disable and revoke, not with {act}"
        assert (answer.status, answer.faults) == (400, {"#/reason": text})
    assert (await admin(f"GET /v1/keys/{key_id}")).body["state"] == "active"


@pytest.mark.parametrize("act", ["disable", "enable", "update", "revoke"])
async def test_a_key_of_another_account_is_as_one_that_does_not_exist(owner, database, act):
    (foreign,) = await make_keys(database, 1)
    changes = {"description": "new"} if act == "update" else {}
    answer = await owner(
        "POST /v1/keys/batch", {"act": act, "items": name(foreign, UNKNOWN, **changes)}
    )
    first, second = answer.body["items"]
    assert (first["code"], first["state"]) == ("not_found", None)
    assert str(first).replace(foreign, UNKNOWN) == str(second)


async def test_an_owner_ends_keys_that_hold_more_but_does_not_change_them(owner, database):
    more, equal = [
        (await make_keys(database, 1, account=owner.account, capabilities=held))[0]
        for held in (("orders:read", "orders:write"), ("orders:read",))
    ]
    for act, changes in (("update", {"description": "x"}), ("enable", {})):
        answer = await owner(
            "POST /v1/keys/batch", {"act": act, "items": name(more, equal, **changes)}
        )
        assert [item["code"] for item in answer.body["items"]] == ["forbidden", None]
    answer = await owner("POST /v1/keys/batch", {"act": "revoke", "items": name(more, equal)})
    assert [item["done"] for item in answer.body["items"]] == [True, True]


async def test_an_owner_gives_in_a_batch_no_more_than_it_has(owner, database):
    ids = await make_keys(database, 4, account=owner.account, capabilities=("orders:read",))
    items = [
        *name(ids[0], capabilities=["orders:read", "tokensvc:admin"]),
        *name(ids[1], claims={"role": "admin"}),
        *name(ids[2], per_minute=100_000),
        *name(ids[3], description="good"),
        *name(owner.key_id, capabilities=["tokensvc:admin"]),
    ]
    answer = await owner("POST /v1/keys/batch", {"act": "update", "items": items})
    codes = [item["code"] for item in answer.body["items"]]
    assert codes == ["forbidden", "forbidden", "forbidden", None, "forbidden"]
    assert (await owner(f"GET /v1/keys/{ids[2]}")).body["own_per_minute"] is None
    assert (await owner(f"GET /v1/keys/{ids[3]}")).body["description"] == "good"


async def test_a_caller_that_ends_its_own_key_in_a_batch_ends_the_others_first(owner, database):
    ids = await make_keys(database, 40, account=owner.account, capabilities=("orders:read",))
    items = name(owner.key_id, *ids)
    answer = await owner("POST /v1/keys/batch", {"act": "revoke", "items": items})
    assert all(item["done"] for item in answer.body["items"])
    assert (await owner("GET /v1/whoami")).status == 401


async def test_a_key_whose_row_is_held_by_somebody_is_refused_alone(admin, database, connection):
    held, *others = await make_keys(database, 3)
    async with connection.transaction():
        await connection.execute(
            "select from api_key_window where key_id = $1 for no key update", held
        )
        answer = await admin("POST /v1/keys/batch", {"act": "revoke", "items": name(held, *others)})
    codes = [item["code"] for item in answer.body["items"]]
    assert codes == ["temporarily_unavailable", None, None]


@pytest.mark.parametrize("act", ["update", "revoke"])
async def test_an_account_that_is_suspended_meanwhile_stops_the_rest_of_a_batch(
    owner, admin, database, connection, act
):
    ids = sorted(
        await make_keys(database, 20, account=owner.account, capabilities=("orders:read",))
    )
    changes = {"description": "new"} if act == "update" else {}
    async with connection.transaction():
        await connection.execute(
            "select from api_key_window where key_id = $1 for no key update", ids[0]
        )
        request = {"act": act, "items": name(*ids, **changes)}
        batch = asyncio.create_task(owner("POST /v1/keys/batch", request))
        await asyncio.sleep(0.1)  # its first keys wait for that row
        suspended = await admin(f"POST /v1/accounts/{owner.account}/suspend", {})
        assert suspended.status == 200
    items = (await batch).body["items"]
    done = [item["id"] for item in items if item["done"]]
    assert {item["code"] for item in items if not item["done"]} == {"forbidden"}
    shown = (await admin(f"GET /v1/keys?account={owner.account}&limit=100")).body["items"]
    changed = [
        key["id"] for key in shown if key["description"] == "new" or key["state"] == "revoked"
    ]
    assert sorted(done) == sorted(changed)
    assert len(done) < len(ids)
