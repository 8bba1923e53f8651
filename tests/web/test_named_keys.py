"""Several keys that are named at once: their facts and use, as far as the caller sees them."""

from __future__ import annotations

import pytest
from tests.integration.things import make_key
from tests.web.operating import Caller

FACES = ("/v1/keys", "/v1/usage/keys")


@pytest.fixture
async def keys(database):
    """A key that manages its account, another one of it, and one of somebody else."""
    own = await make_key(database, capabilities=("tokensvc:keys",))
    account = own.listed.record.account_id
    return own, await make_key(database, account=account), await make_key(database)


async def test_keys_of_others_and_unknown_ones_are_left_out(client, admin, keys, subtests):
    ids = [key.listed.record.id for key in keys]
    named = ",".join([*ids, "key_0000000000000000"])
    owner = Caller(client, keys[0].key.text)
    for path in FACES:
        for caller, wanted in ((admin, ids), (owner, ids[:2])):
            with subtests.test(msg=path):
                items = (await caller(f"GET {path}?ids={named}")).body["items"]
                assert {item["id"] for item in items} == set(wanted)


async def test_the_use_of_each_key_stands_by_itself(admin, keys, connection):
    ids = sorted(key.listed.record.id for key in keys)
    for number, key_id in enumerate(ids[:2], 1):
        await connection.execute(
            "insert into api_key_usage values"
            " ($1, date_trunc('hour', clock_timestamp()), 'issued', $2)",
            key_id,
            number,
        )
    items = (await admin(f"GET /v1/usage/keys?ids={','.join(ids)}&since=7200")).body["items"]
    assert [sum(hour["issued"] for hour in item["hours"]) for item in items] == [1, 2, 0]
    alone = (await admin(f"GET /v1/usage?key={ids[1]}&since=7200")).body
    assert alone["hours"] == items[1]["hours"]


async def test_what_names_no_keys_or_too_many_is_refused(admin, subtests):
    many = ",".join(f"key_{number:016}" for number in range(101))
    for path in FACES:
        for ids in ("", "key_1", "key_0000000000000000,", many, "acct_0000000000000000"):
            with subtests.test(msg=f"{path} {ids[:30]}"):
                answer = await admin(f"GET {path}?ids={ids}")
                assert (answer.status, answer.code) == (400, "invalid_input")
