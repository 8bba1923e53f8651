"""The operations over HTTP: routes, credentials, conventions."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.things import read_payload
from tests.web.asking import basic, get_own_token, get_token
from tests.web.operating import Caller, make_caller

from tokensvc.core.api_key import new_api_key
from tokensvc.core.token import sign_jws
from tokensvc.operations.table import OPERATIONS


async def test_every_operation_of_the_table_has_its_path_and_method(client):
    routes = {(route.method, route.resource.canonical) for route in client.app.router.routes()}
    assert {(operation.method, operation.path) for operation in OPERATIONS.values()} <= routes


def test_every_list_has_pages():
    lists = {name: one for name, one in OPERATIONS.items() if name.endswith(".list")}
    assert len(lists) > 10
    for name, one in lists.items():
        if name != "leaks.list":  # it tells of one key, with all reports in one object
            assert {"limit", "cursor"} <= set(one.request.model_fields), name
            assert {"items", "next_cursor"} <= set(one.response.model_fields), name


async def test_a_public_port_without_operations_still_lets_a_key_rotate_itself(
    started, settings, new_client, database, unused_tcp_port_factory
):
    del started
    client = await new_client(settings.model_copy(update={"admin_port": unused_tcp_port_factory()}))
    paths = {resource.canonical for resource in client.app.router.resources()}
    table = {operation.path for operation in OPERATIONS.values()}
    assert paths & table == {"/v1/keys/self/rotate", "/v1/leaks"}
    caller, key = await make_caller(client, database, "tokensvc:admin")
    made = await caller("POST /v1/keys/self/rotate")
    assert (made.status, made.body["predecessor"]) == (201, key.listed.record.id)
    assert (await caller("GET /v1/whoami")).status == 404
    assert (await caller("GET /v1/keys/self/rotate")).status == 405


async def test_an_account_and_a_key_are_made_shown_changed_and_ended(admin):
    made = await admin("POST /v1/accounts", {"name": "Orders", "per_minute": 600})
    assert (made.status, made.body["own_per_minute"]) == (201, 600)
    account = made.body["id"]
    assert made.headers["Location"] == f"/v1/accounts/{account}"
    await admin("POST /v1/capabilities", {"name": "orders:read"})
    wish = {"account": account, "name": "ci", "capabilities": ["orders:read"]}
    key = await admin("POST /v1/keys", wish)
    assert (key.status, key.body["state"]) == (201, "active")
    assert key.body["key"].startswith("tsk-")
    path = f"/v1/keys/{key.body['id']}"
    assert key.headers["Location"] == path
    shown = await admin(f"GET {path}")
    assert shown.body == {n: v for n, v in key.body.items() if n not in {"key", "replayed"}}
    changed = await admin(f"PATCH {path}", {"description": "for the nightly run"})
    assert (changed.status, changed.body["description"]) == (200, "for the nightly run")
    disabled = await admin(f"POST {path}/disable", {"reason": "test"})
    assert (disabled.status, disabled.body["state"]) == (200, "disabled")
    assert (await admin(f"POST {path}/enable")).body["state"] == "active"
    deleted = await admin(f"DELETE {path}")
    assert (deleted.status, deleted.body) == (200, {"id": key.body["id"], "state": "deleted"})
    assert (await admin(f"GET {path}")).code == "not_found"
    assert (await admin(f"GET /v1/usage?key={key.body['id']}")).code == "not_found"


async def test_what_is_made_is_shown_at_its_location_with_the_same_version(admin, subtests):
    for path, wish in (
        ("accounts", {"name": "Orders"}),
        ("capabilities", {"name": "orders:read", "description": "May read."}),
        ("audiences", {"name": "https://orders.example/x", "token_ttl": 60}),
        ("tiers", {"name": "pro", "key_per_minute": 1, "key_per_day": 2}),
    ):
        with subtests.test(msg=path):
            made = await admin(f"POST /v1/{path}", wish)
            shown = await admin(f"GET {made.headers['Location']}")
            assert (shown.status, shown.body) == (200, made.body)
            assert shown.headers["ETag"] == made.headers["ETag"]
            known = {"If-None-Match": made.headers["ETag"]}
            again = await admin(f"GET {made.headers['Location']}", headers=known)
            assert again.status == 304
            assert (await admin(f"GET /v1/{path}/absent")).status in {400, 404}


async def test_an_owner_sees_the_capabilities_and_audiences_of_its_own_key_alone(
    admin, client, database
):
    for name in ("api-1", "api-2"):
        await admin("POST /v1/audiences", {"name": name})
    await admin("POST /v1/capabilities", {"name": "orders:write"})
    bound, _ = await make_caller(client, database, "tokensvc:keys", audiences=("api-1",))
    free, _ = await make_caller(client, database, "tokensvc:keys")
    own, other = "GET /v1/capabilities/tokensvc:keys", "GET /v1/capabilities/orders:write"
    assert [(await free(line)).status for line in (own, other)] == [200, 404]
    absent = (await free("GET /v1/capabilities/absent")).body["detail"]
    assert (await free(other)).body["detail"] == absent.replace("absent", "orders:write")
    lines = ("GET /v1/audiences/api-1", "GET /v1/audiences/api-2")
    assert [(await free(line)).status for line in lines] == [200, 200]
    assert [(await bound(line)).status for line in lines] == [200, 404]


async def test_a_caller_shows_a_key_as_bearer_or_basic_or_a_token_for_the_service(
    client, database, subtests
):
    _, key = await make_caller(client, database, "tokensvc:read", "orders:read")
    token = await get_own_token(client, key, "tokensvc:read")
    everything = ["orders:read", "tokensvc:read"]
    for name, header, capabilities in (
        ("bearer", ("Authorization", f"Bearer {key.key.text}"), everything),
        ("basic", basic(key.listed.record.id, key.key.text), everything),
        ("token", ("Authorization", f"Bearer {token}"), ["tokensvc:read"]),
    ):
        with subtests.test(msg=name):
            answer = await client.get("/v1/whoami", headers=[header])
            body = await answer.json()
            assert (answer.status, body["capabilities"]) == (200, capabilities)
            assert body["actor"] == body["key"] == key.listed.record.id
            assert body["account"] == key.listed.record.account_id
            assert (body["fresh_until"] is None) == (name != "token")


async def test_who_shows_nothing_good_is_refused(client, key, subtests):
    for_others = (await get_token(client, key))["access_token"]
    helpful = {"nothing": "show an API key or a token", "another audience": "audience tokensvc"}
    for name, caller, code, challenge in (
        ("nothing", Caller(client, None), "missing_token", "Bearer"),
        ("junk", Caller(client, "junk"), "invalid_client", 'Bearer realm="tokensvc"'),
        ("unknown", Caller(client, new_api_key().text), "invalid_client", 'Bearer realm="tok'),
        ("another audience", Caller(client, for_others), "invalid_token", "Bearer error="),
    ):
        with subtests.test(msg=name):
            answer = await caller("GET /v1/whoami")
            assert (answer.status, answer.code) == (401, code)
            assert answer.headers["WWW-Authenticate"].startswith(challenge)
            if name in helpful:
                assert helpful[name] in answer.body["detail"]
            assert answer.headers["Content-Type"].startswith("application/problem+json")


async def test_two_credentials_are_a_malformed_request(client, key):
    twice = [("Authorization", f"Bearer {key.key.text}")] * 2
    answer = await client.get("/v1/whoami", headers=twice)
    assert (answer.status, (await answer.json())["code"]) == (400, "invalid_request")


async def test_who_lacks_the_capability_is_told_which_would_do(client, database):
    caller, _ = await make_caller(client, database, "tokensvc:read")
    answer = await caller("POST /v1/accounts", {"name": "x"})
    assert (answer.status, answer.code) == (403, "insufficient_scope")
    assert 'scope="tokensvc:admin"' in answer.headers["WWW-Authenticate"]
    assert answer.body["needs_one_of"] == ["tokensvc:admin"]


async def test_what_needs_a_key_shown_lately_refuses_an_older_token(client, database, service):
    _, key = await make_caller(client, database, "tokensvc:admin")
    token = await get_own_token(client, key, "tokensvc:admin")
    stale = Caller(client, age(service, token, by=601))
    account = (await Caller(client, token)("POST /v1/accounts", {"name": "Orders"})).body
    answer = await stale(f"DELETE /v1/accounts/{account['id']}")
    assert (answer.status, answer.code) == (401, "insufficient_user_authentication")
    assert answer.headers["WWW-Authenticate"].endswith(', max_age="600"')
    assert (await stale("GET /v1/whoami")).status == 200
    assert (await Caller(client, token)(f"DELETE /v1/accounts/{account['id']}")).status == 200


def age(service, token, *, by):
    """Return the token as if its API key had been shown `by` seconds earlier."""
    payload = read_payload(token)
    key = service.mirror.signers.find("ES256", service.mirror.postgres_clock.now)
    return sign_jws(payload | {"auth_time": payload["auth_time"] - by}, typ="at+jwt", key=key)


async def test_the_audit_trail_has_the_key_its_account_the_address_and_the_request(
    client, database
):
    caller, key = await make_caller(client, database, "tokensvc:admin")
    made = await caller("POST /v1/accounts", {"name": "x"}, headers={"X-Request-Id": "mine"})
    (event,) = (await caller(f"GET /v1/audit-events?subject={made.body['id']}")).body["items"]
    assert (event["actor"], event["operation"]) == (key.listed.record.id, "accounts.create")
    assert event["account"] == key.listed.record.account_id
    assert (event["address"], event["request_id"]) == ("127.0.0.1", "mine")


async def test_who_waits_for_revocations_is_answered_when_one_comes_and_when_the_process_leaves(
    admin, account, service
):
    begin = (await admin("GET /v1/revocations/watch")).body["cursor"]
    waiting = asyncio.create_task(admin(f"GET /v1/revocations/watch?after={begin}&wait=25"))
    await admin(f"POST /v1/accounts/{account}/suspend")
    answer = (await waiting).body
    assert [item["value"] for item in answer["items"]] == [account]
    cursor = answer["cursor"]
    waiting = asyncio.create_task(admin(f"GET /v1/revocations/watch?after={cursor}&wait=25"))
    await asyncio.sleep(0.1)
    service.drain()
    async with asyncio.timeout(5):
        assert (await waiting).body["items"] == []


@pytest.mark.usefixtures("fresh_minute")
async def test_t39_a_dead_credential_is_refused_without_asking_postgres(
    started, settings, new_client, database
):
    del started
    client = await new_client(settings.model_copy(update={"unknown_keys_per_minute": 2}))
    unknown = Caller(client, new_api_key().text)
    statuses = [(await unknown("GET /v1/keys")).status for _ in range(4)]
    assert statuses == [401, 401, 401, 429]
    caller, _ = await make_caller(client, database, "tokensvc:read")
    assert (await caller("GET /v1/keys")).status == 200


async def test_a_database_that_is_away_is_a_503_that_says_when_to_try_again(
    admin, service, account
):
    await service.database.close()
    answer = await admin(f"GET /v1/accounts/{account}")
    assert (answer.status, answer.code) == (503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
