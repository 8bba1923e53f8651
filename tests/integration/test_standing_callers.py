"""A key changes nothing any more once its end is committed, even if it had begun before."""

from __future__ import annotations

import asyncio

import pytest
from tests.integration.things import ACTOR, make_key, patiently

from tokensvc.core.actor import Actor
from tokensvc.core.errors import ForbiddenError, NotFoundError
from tokensvc.issuer.admin import accounts
from tokensvc.issuer.admin.audiences import add_audience
from tokensvc.issuer.operations.call import Backend
from tokensvc.issuer.operations.run import run_operation
from tokensvc.issuer.revoking import endings
from tokensvc.operations.authorisation import Principal
from tokensvc.operations.table import OPERATIONS
from tokensvc.store.account import end_accounts
from tokensvc.store.key_endings import end_api_keys


@pytest.fixture
async def key(database):
    return (await make_key(database, capabilities=("tokensvc:admin",))).listed.record


def call_with(key):
    return Actor(name=key.id, account_id=key.account_id, must_stand=True)


async def end(connection, key, ending):
    if ending.startswith("key"):
        await end_api_keys(connection, ending, key_ids=[key.id], actor=ACTOR, detail={})
    else:
        await end_accounts(connection, ending, [key.account_id], actor=ACTOR, detail={})


@pytest.mark.parametrize(
    "ending",
    ["key_disabled", "key_revoked", "key_deleted", "account_suspended", "account_deleted"],
)
async def test_t30_what_waits_for_the_end_of_its_key_is_undone(database, connection, key, ending):
    async with connection.transaction():
        await end(connection, key, ending)
        act = asyncio.create_task(accounts.create_account(database, "Late", actor=call_with(key)))
        await asyncio.sleep(0.1)
        assert not act.done()
    with pytest.raises(ForbiddenError, match="your own key is not active any more"):
        await act
    assert await connection.fetchval("select count(*) from account where name = 'Late'") == 0
    events = "select count(*) from audit_event where actor = $1"
    assert await connection.fetchval(events, key.id) == 0


async def test_what_waits_for_an_end_that_is_taken_back_is_done(database, connection, key):
    transaction = connection.transaction()
    await transaction.start()
    await end(connection, key, "key_revoked")
    act = asyncio.create_task(accounts.create_account(database, "Late", actor=call_with(key)))
    await asyncio.sleep(0.1)
    await transaction.rollback()
    assert (await act).name == "Late"


async def test_the_audit_trail_has_no_act_of_a_key_after_its_end(database, connection, key):
    async def act():
        return await accounts.create_account(database, "x", actor=call_with(key))

    acts = [asyncio.create_task(patiently(act)) for _ in range(40)]
    done, _ = await asyncio.wait(acts, return_when=asyncio.FIRST_COMPLETED)
    await endings.revoke_key(database, key.id, actor=ACTOR)
    results = await asyncio.gather(*acts, return_exceptions=True)
    undone = [one for one in results if isinstance(one, Exception)]
    assert all(isinstance(one, ForbiddenError) for one in undone)
    assert done
    of_key = "select max(number), count(*) from audit_event where actor = $1"
    latest, count = await connection.fetchrow(of_key, key.id)
    assert count == len(results) - len(undone)
    assert latest < await connection.fetchval(
        "select number from audit_event where operation = 'keys.revoke' and subject = $1", key.id
    )


@pytest.mark.parametrize("subject", ["audiences", "capabilities"])
async def test_t30_a_caller_whose_key_is_gone_learns_of_no_name_that_exists(
    database, settings, key, subject
):
    things = {"audiences": "feeds", "capabilities": "feeds:read"}
    await make_key(database, capabilities=("feeds:read",))
    await add_audience(database, settings, "feeds", actor=ACTOR)
    caller = Principal(
        actor=call_with(key), capabilities=frozenset({"tokensvc:keys"}), key_id=key.id,
        account_id=key.account_id,
    )  # fmt: skip
    await endings.delete_key(database, key.id, actor=ACTOR)
    operation, said = OPERATIONS[f"{subject}.show"], []
    for name in (things[subject], f"un{things[subject]}"):
        with pytest.raises(NotFoundError) as caught:
            await run_operation(
                Backend(database=database, settings=settings),
                operation,
                caller,
                operation.request.model_validate({"name": name}),
            )
        said.append(str(caught.value))
    assert said[0] == said[1]
