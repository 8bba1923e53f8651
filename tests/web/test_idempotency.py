"""`Idempotency-Key`: a request that is repeated creates nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.integration.things import make_key
from tests.web.asking import get_own_token
from tests.web.operating import Caller, make_caller

from tokensvc.issuer.operations.idempotency import clean_requests_once
from tokensvc.operations.table import OPERATIONS

NAME = "8e03978e-40d5-43e8-bc93-6894a57f9324"
TEN_MINUTES = "update idempotent_request set at = at - interval '10 minutes'"


@pytest.fixture
def wish(account):
    return {"account": account, "name": "ci", "capabilities": ["tokensvc:read"]}


async def make(caller, wish, name=NAME, **more):
    return await caller("POST /v1/keys", wish | more, headers={"Idempotency-Key": name})


async def count_keys(caller, account):
    return len((await caller(f"GET /v1/keys?account={account}")).body["items"])


async def test_a_repeated_request_gets_the_same_answer_with_the_secret(admin, wish, account):
    first, again = await make(admin, wish), await make(admin, wish)
    assert (first.status, first.body["replayed"], again.body["replayed"]) == (201, False, True)
    assert again.status == 201
    assert again.body == first.body | {"replayed": True}
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert await count_keys(admin, account) == 1


async def test_a_name_in_quotation_marks_is_the_same_name(admin, wish, account):
    await make(admin, wish)
    assert (await make(admin, wish, f'"{NAME}"')).body["replayed"]
    assert await count_keys(admin, account) == 1


async def test_after_ten_minutes_the_secret_is_not_repeated(admin, wish, connection, database):
    first = await make(admin, wish)
    await connection.execute(TEN_MINUTES)
    again = await make(admin, wish)
    assert again.body == first.body | {"key": None, "replayed": True}
    now = await connection.fetchval("select clock_timestamp()")
    await clean_requests_once(database, now)
    row = await connection.fetchrow("select * from idempotent_request")
    assert row["sealed_secret"] is None
    assert first.body["key"] not in str(dict(row))
    await clean_requests_once(database, now + timedelta(hours=24))
    assert await connection.fetchval("select count(*) from idempotent_request") == 0


async def test_the_secret_is_sealed_and_opens_in_no_other_row(admin, wish, connection):
    first = await make(admin, wish)
    other = await make(admin, wish, "other")
    stored = await connection.fetch("select answer::text, sealed_secret from idempotent_request")
    for row in stored:
        assert first.body["key"] not in row["answer"]
        assert first.body["key"].encode() not in row["sealed_secret"]
    await connection.execute(
        "update idempotent_request set sealed_secret = (select sealed_secret from"
        " idempotent_request where name = 'other') where name = $1",
        NAME,
    )
    assert (await make(admin, wish)).body["key"] is None
    assert (await make(admin, wish, "other")).body["key"] == other.body["key"]


async def test_the_same_name_for_another_request_is_refused(admin, wish, account):
    first = await make(admin, wish)
    for answer in (
        await make(admin, wish, description="another"),
        await admin("POST /v1/accounts", {"name": "x"}, headers={"Idempotency-Key": NAME}),
    ):
        assert (answer.status, answer.code) == (422, "idempotency_key_reused")
        assert list(answer.faults) == ["#/header/Idempotency-Key"]
    assert await count_keys(admin, account) == 1
    rewritten = dict(reversed(wish.items()))
    assert (await make(admin, rewritten)).body["id"] == first.body["id"], "order says nothing"


async def test_a_name_belongs_to_its_sender(admin, wish, client, database):
    other, _ = await make_caller(client, database, "tokensvc:admin")
    first, second = await make(admin, wish), await make(other, wish)
    assert first.body["id"] != second.body["id"]
    assert not second.body["replayed"]


async def test_t30_a_narrowed_token_does_not_fetch_what_its_key_has_made(client, database, account):
    capabilities = ("tokensvc:admin", "tokensvc:keys")
    owner, key = await make_caller(client, database, *capabilities)
    wish = {"account": account, "name": "x", "capabilities": ["tokensvc:admin"]}
    first = await make(owner, wish)
    same = Caller(client, await get_own_token(client, key, *capabilities))
    assert (await make(same, wish)).body["key"] == first.body["key"]
    narrow = Caller(client, await get_own_token(client, key, "tokensvc:keys"))
    answer = await make(narrow, wish)
    assert (answer.status, answer.code) == (422, "idempotency_key_reused")
    assert first.body["id"] not in str(answer.body)
    assert await count_keys(owner, account) == 1


async def test_a_refused_request_leaves_its_name_free(admin, wish):
    refused = await make(admin, wish | {"tier": "no-such"})
    assert (refused.status, refused.code) == (404, "not_found")
    assert (await make(admin, wish)).status == 201


async def test_everything_that_is_made_can_be_named_and_is_made_once(
    admin, database, account, wish, connection, subtests
):
    key = (await make_key(database, capabilities=["orders:read"])).listed.record.id
    made = {
        "accounts.create": ("accounts", {"name": "x"}),
        "keys.create": ("keys", wish),
        "keys.rotate": (f"keys/{key}/rotate", {}),
        "keys.rotate-self": ("keys/self/rotate", {}),
        "capabilities.create": ("capabilities", {"name": "orders:list"}),
        "audiences.create": ("audiences", {"name": "orders-api"}),
        "tiers.create": ("tiers", {"name": "free", "key_per_minute": 1, "key_per_day": 1}),
        "notice-endpoints.create": (
            "notice-endpoints", {"account": account, "url": "https://hooks.example/"},
        ),
    }  # fmt: skip
    assert made.keys() == {name for name, one in OPERATIONS.items() if one.idempotent_by_key}
    for name, (path, body) in made.items():
        with subtests.test(msg=name):
            headers = {"Idempotency-Key": name}
            first = await admin(f"POST /v1/{path}", body, headers=headers)
            again = await admin(f"POST /v1/{path}", body, headers=headers)
            replayed = {"replayed": True} if OPERATIONS[name].response.shown_once else {}
            assert (first.status, again.status) == (201, 201)
            assert again.body == first.body | replayed
            assert find_version(again) == find_version(first)
            subject = first.body.get("id") or first.body["name"]
            events = (await admin(f"GET /v1/audit-events?subject={subject}")).body["items"]
            assert len(events) == 1
    with_secret = sum(OPERATIONS[name].response.shown_once is not None for name in made)
    stored = await connection.fetchval("select count(sealed_secret) from idempotent_request")
    assert stored == with_secret


def find_version(answer):
    """Return the part of the ETag that tells the version, empty without one."""
    return answer.headers.get("ETag", "").partition(".")[0]


async def test_a_key_that_was_rotated_by_name_has_a_successor_that_works(admin, client, database):
    key = await make_key(database, capabilities=["orders:read"])
    line, headers = f"POST /v1/keys/{key.listed.record.id}/rotate", {"Idempotency-Key": NAME}
    first, again = await admin(line, headers=headers), await admin(line, headers=headers)
    assert (first.status, again.body) == (201, first.body | {"replayed": True})
    assert (await Caller(client, first.body["key"])("GET /v1/whoami")).status == 200


async def test_a_name_that_cannot_be_one_is_refused(admin, wish, subtests):
    for name in (
        "",
        '""',
        "x" * 256,
        "two words",
        "é",
    ):
        with subtests.test(msg=name):
            answer = await make(admin, wish, name)
            assert (answer.status, list(answer.faults)) == (400, ["#/header/Idempotency-Key"])


async def test_equal_requests_at_once_make_one_key(admin, wish, account):
    answers = await asyncio.gather(*(make(admin.insist, wish) for _ in range(20)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body["key"] for answer in answers}) == 1
    assert [answer.body["replayed"] for answer in answers].count(False) == 1
    assert await count_keys(admin, account) == 1


async def test_an_equal_request_waits_for_the_first(admin, wish, account, connection):
    async with connection.transaction():
        await connection.execute("select from account where id = $1 for update", account)
        requests = [asyncio.create_task(make(admin, wish)) for _ in range(2)]
        _, waiting = await asyncio.wait(requests, timeout=0.3)
        assert len(waiting) == 2
    first, second = [await request for request in requests]
    assert (first.status, second.status) == (201, 201)
    assert first.body["key"] == second.body["key"]
    assert await count_keys(admin, account) == 1
