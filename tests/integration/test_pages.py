"""Pages of lists: every thing once and in order, whatever the filters and the order are."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests import endings
from tests.integration.things import ACTOR, make_key
from tests.rows import load_key

from tokensvc.core.actor import Actor
from tokensvc.core.errors import InvalidInputError
from tokensvc.core.list_cursor import ListPlace, build_list_cursor
from tokensvc.issuer.admin import accounts, api_keys, audiences
from tokensvc.issuer.operations.call import Backend
from tokensvc.issuer.operations.run import run_operation
from tokensvc.operations.rights import Principal
from tokensvc.operations.table import OPERATIONS

ADMIN = Principal.of_host(Actor(name="cli:test"))


@pytest.fixture
def read(database, settings):
    """Read a list to its end by pages of two; return its items."""

    async def read(operation_name, filters=None):
        operation = OPERATIONS[operation_name]
        items: list[Any] = []
        cursor = None
        while True:
            request: Any = operation.request(**{"limit": 2, "cursor": cursor} | (filters or {}))
            backend = Backend(database=database, settings=settings)
            page: Any = (await run_operation(backend, operation, ADMIN, request)).response
            assert len(page.items) <= request.limit
            items += page.items
            cursor = page.next_cursor
            if cursor is None:
                return items

    return read


@pytest.fixture
async def keys(database):
    """Five keys of one account, each of another kind."""
    account = (await accounts.create_account(database, "Orders", actor=ACTOR)).id
    wishes = [
        api_keys.KeyWish(name="50%_off", capabilities=["a:x"], metadata={"team": "red"}),
        api_keys.KeyWish(name="Beta", capabilities=["a:x", "b:y"], life=timedelta(days=2)),
        api_keys.KeyWish(name="alpha", capabilities=["b:y"], life=timedelta(milliseconds=1)),
        api_keys.KeyWish(name="gamma", capabilities=["b:y"], metadata={"team": "blue", "n": 1}),
        api_keys.KeyWish(name="gamma", capabilities=["b:y"]),
    ]
    made = [
        (
            await api_keys.create_key(database, account, wish, prefix="tsk-", actor=ACTOR)
        ).listed.record.id
        for wish in wishes
    ]
    await endings.disable_key(database, made[3], actor=ACTOR)
    await endings.revoke_key(database, made[4], actor=ACTOR)
    await asyncio.sleep(0.01)
    return made


async def test_every_key_that_is_wanted_comes_once_and_in_order(keys, read, subtests):
    for filters, places in (
        ({}, [0, 1, 2, 3, 4]),
        ({"sort": "-created_at"}, [4, 3, 2, 1, 0]),
        ({"sort": "expires_at"}, [2, 1, "any", "any", "any"]),
        ({"state": "active"}, [0, 1]),
        ({"state": "expired"}, [2]),
        ({"state": "disabled"}, [3]),
        ({"state": "revoked"}, [4]),
        ({"capability": "a:x"}, [0, 1]),
        ({"never_expires": True}, [0, 3, 4]),
        ({"never_expires": False}, [1, 2]),
        ({"name": "ALPH"}, [2]),
        ({"name": "%_o"}, [0]),
        ({"name": "%"}, [0]),
        ({"metadata": {"team": "red"}}, [0]),
        ({"metadata": {"team": "green"}}, []),
        ({"used_before": "2026-01-01T00:00:00Z"}, [0, 1, 2, 3, 4]),
        ({"created_before": "2020-01-01T00:00:00Z"}, []),
    ):
        with subtests.test(msg=str(filters)):
            found = [key.id for key in await read("keys.list", filters)]
            assert len(found) == len(set(found)) == len(places)
            for key_id, place in zip(found, places, strict=True):
                assert place == "any" or key_id == keys[place]


async def test_keys_come_by_use_and_by_end_with_those_that_have_none_at_one_end(
    keys, read, connection, subtests
):
    for place, day in ((3, 1), (0, 2)):
        await connection.execute(
            "insert into api_key_last_use values ($1, "
            "timestamptz '2026-01-01' + $2::int * interval '1 day', '10.0.0.0/24', 'api')",
            keys[place],
            day,
        )
    unused, endless = sorted(keys[1:3] + keys[4:]), sorted([keys[0], *keys[3:]])
    for sort, wanted in (
        ("last_used_at", [*unused, keys[3], keys[0]]),
        ("-last_used_at", [keys[0], keys[3], *reversed(unused)]),
        ("expires_at", [keys[2], keys[1], *endless]),
        ("-expires_at", [*reversed(endless), keys[1], keys[2]]),
    ):
        with subtests.test(msg=sort):
            assert [key.id for key in await read("keys.list", {"sort": sort})] == wanted
    assert [key.id for key in await read("keys.list", {"sort": "-last_used_at", "limit": 3})] == [
        keys[0],
        keys[3],
        *reversed(unused),
    ]


async def test_some_keys_are_listed_by_their_ids(keys, read):
    wanted = [keys[3], "key_0000000000000000", keys[1]]
    found = await read("keys.list", {"ids": ",".join(wanted)})
    assert [key.id for key in found] == [keys[1], keys[3]]


async def test_an_audience_finds_the_keys_that_may_ask_for_everything_too(
    database, settings, keys, read
):
    await audiences.create_audience(database, settings, "orders", actor=ACTOR)
    one = api_keys.KeyWish(name="one", capabilities=["a:x"], audiences=["orders"])
    account = (await load_key(database, keys[0])).record.account_id
    made = await api_keys.create_key(database, account, one, prefix="tsk-", actor=ACTOR)
    found = [key.id for key in await read("keys.list", {"audience": "orders"})]
    assert found == [*keys, made.listed.record.id]
    assert [key.id for key in await read("keys.list", {"audience": "api"})] == keys


async def test_other_lists_come_in_pages_too(database, read):
    for name in ("a", "b", "c"):
        await make_key(database, name=name, capabilities=[f"{name}:read"])
    found = await read("accounts.list")
    assert [account.id for account in found] == sorted(
        (account.id for account in found),
        key=lambda account_id: next(a.created_at for a in found if a.id == account_id),
    )
    for name in ("accounts.list", "capabilities.list", "audiences.list", "audit-events.list"):
        assert len(await read(name)) >= 3 or name == "audiences.list"
    numbers = [event.number for event in await read("audit-events.list")]
    assert numbers == sorted(numbers, reverse=True)
    numbers = [event.number for event in await read("audit-events.list", {"sort": "number"})]
    assert numbers == sorted(numbers)


async def test_a_cursor_whose_key_is_none_is_refused(read, keys):
    del keys
    operation = OPERATIONS["keys.list"]
    filters = operation.request().model_dump(mode="json", exclude={"limit", "cursor"})
    forged = build_list_cursor(ListPlace("no moment", "key_1"), "ListKeys", filters)
    with pytest.raises(InvalidInputError):
        await read_one(read, forged)


async def read_one(read, cursor):
    return await read("keys.list", {"cursor": cursor})
