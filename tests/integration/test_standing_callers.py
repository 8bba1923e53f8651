"""A key changes nothing any more once its end is committed, even if it had begun before."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests import endings
from tests.integration.things import ACTOR, make_key, patiently

from tokensvc.core.actor import Actor
from tokensvc.core.errors import CallerEndedError, ForbiddenError, NotFoundError
from tokensvc.core.granting import Grantor
from tokensvc.issuer.admin import accounts, api_keys
from tokensvc.issuer.admin.audiences import create_audience
from tokensvc.issuer.admin.key_rotation import rotate_key, rotate_own_key
from tokensvc.issuer.database import OpenTransaction
from tokensvc.issuer.operations.call import Backend
from tokensvc.issuer.operations.run import run_operation
from tokensvc.issuer.revoking.credentials import revoke_jti
from tokensvc.operations.rights import Principal
from tokensvc.operations.table import OPERATIONS
from tokensvc.store.account import end_accounts
from tokensvc.store.key_endings import end_api_keys

ENDS = ["key_disabled", "key_revoked", "key_deleted", "account_suspended", "account_deleted"]
JTI = "0123456789abcdefghij"


@pytest.fixture
async def key(database):
    return (await make_key(database, capabilities=("tokensvc:admin",))).listed.record


def call_with(key):
    return Actor(name=key.id, account_id=key.account_id, must_stand=True)


async def end(connection, key, ending, actor=ACTOR):
    if ending.startswith("key"):
        keys = await end_api_keys(connection, ending, key_ids=[key.id], actor=actor, detail={})
        return keys[0].outcome
    of_account = [key.account_id]
    return (await end_accounts(connection, ending, of_account, actor=actor, detail={}))[0].outcome


@pytest.mark.parametrize("ending", ENDS)
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


def end_key(database, other, caller):
    return endings.revoke_key(database, other.id, actor=caller)


def delete_key(database, other, caller):
    return endings.delete_key(database, other.id, actor=caller)


def suspend_account(database, other, caller):
    return endings.suspend_account(database, other.account_id, actor=caller)


def revoke_tokens_of_account(database, other, caller):
    return endings.revoke_tokens_of_account(database, other.account_id, actor=caller)


def revoke_token(database, _other, caller):
    return revoke_jti(database, JTI, None, actor=caller, reason="")


ACTS = [end_key, delete_key, suspend_account, revoke_tokens_of_account, revoke_token]


@pytest.mark.parametrize("act", ACTS)
async def test_t30_an_end_that_waits_for_the_end_of_its_caller_is_undone(
    database, connection, key, act
):
    other = (await make_key(database)).listed.record
    async with connection.transaction():
        await end(connection, key, "key_disabled")
        late = asyncio.create_task(act(database, other, call_with(key)))
        await asyncio.sleep(0.1)
        assert not late.done()
    with pytest.raises(CallerEndedError):
        await late
    by_caller = "select count(*) from audit_event where actor = $1"
    assert await connection.fetchval(by_caller, key.id) == 0
    assert await connection.fetchval("select count(*) from denylist where value <> $1", key.id) == 0


@pytest.mark.parametrize("ending", ENDS)
async def test_a_caller_may_end_its_own_key_and_account(connection, key, ending):
    assert await end(connection, key, ending, call_with(key)) == "ended"


async def test_a_successor_may_end_itself_together_with_its_predecessor(database, connection, key):
    own = await rotate_own_key(
        database, key.id, grace=timedelta(hours=1), prefix="tsk", actor=call_with(key)
    )
    ended = await endings.revoke_key(database, key.id, actor=call_with(own.listed.record))
    assert ended.listed.state == "revoked"
    state = "select revoked_at is not null from api_key where id = $1"
    assert await connection.fetchval(state, own.listed.record.id)


@pytest.mark.parametrize(
    ("before", "then"),
    [
        ("key_disabled", "key_revoked"),
        ("key_disabled", "key_deleted"),
        ("key_revoked", "key_deleted"),
        ("key_disabled", "account_suspended"),
        ("account_suspended", "account_deleted"),
        ("account_suspended", "account_tokens_revoked"),
        ("account_suspended", "key_deleted"),
    ],
)
async def test_t30_a_caller_that_has_ended_cannot_make_its_end_worse(connection, key, before, then):
    await end(connection, key, before)
    with pytest.raises(CallerEndedError):
        await end(connection, key, then, actor=call_with(key))
    by_caller = "select count(*) from audit_event where actor = $1"
    assert await connection.fetchval(by_caller, key.id) == 0


@pytest.fixture
async def owner(database):
    """A key that may make keys, and what stands for it."""
    made = await make_key(database, capabilities=("tokensvc:keys", "orders:read"))
    key = made.listed.record
    return key, {
        "actor": call_with(key),
        "grantor": Grantor(key.id, frozenset({"tokensvc:keys"})),
    }


async def narrow(connection, key):
    """Take a capability from a key, in a transaction that somebody else commits."""
    changes = api_keys.KeyChanges(capabilities=["tokensvc:keys"])
    await api_keys.update_key(OpenTransaction(connection), key.id, changes, actor=ACTOR)


def make(database, key, _other, how):
    wish = api_keys.KeyWish(name="late", capabilities=["orders:read"])
    return api_keys.create_key(database, key.account_id, wish, prefix="tsk-", **how)


def enable(database, _key, other, how):
    return api_keys.enable_key(database, other.id, **how)


def rotate(database, _key, other, how):
    return rotate_key(database, other.id, grace=timedelta(), prefix="tsk-", **how)


@pytest.mark.parametrize("act", [make, enable, rotate])
async def test_t30_what_its_own_key_loses_meanwhile_a_caller_gives_to_none(
    database, connection, owner, act
):
    key, how = owner
    other = (
        await make_key(database, account=key.account_id, capabilities=("orders:read",))
    ).listed.record
    if act is enable:
        await endings.disable_key(database, other.id, actor=ACTOR)
    async with connection.transaction():
        await narrow(connection, key)
        late = asyncio.create_task(act(database, key, other, how))
        await asyncio.sleep(0.1)
        assert not late.done()
    with pytest.raises(ForbiddenError, match="more capabilities than your own key has"):
        await late
    by_caller = "select count(*) from audit_event where actor = $1"
    assert await connection.fetchval(by_caller, key.id) == 0


async def test_a_caller_may_take_something_from_its_own_key(database, owner):
    key, how = owner
    changes = api_keys.KeyChanges(capabilities=["tokensvc:keys"])
    changed, _ = await api_keys.update_key(database, key.id, changes, **how)
    assert changed.record.terms.capabilities == ("tokensvc:keys",)


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
    await create_audience(database, settings, "feeds", actor=ACTOR)
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
