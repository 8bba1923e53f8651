"""How many keys an account may have."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests import endings
from tests.integration.things import ACTOR, make_key

from tokensvc.core.api_key import DEFAULT_PREFIX
from tokensvc.core.errors import ConflictError
from tokensvc.issuer.admin import accounts, api_keys, key_batches, key_rotation
from tokensvc.issuer.admin.key_chunks import BatchCaller
from tokensvc.store.pool import open_database

MOST = 3
WISH = api_keys.KeyWish(name="ci", capabilities=("orders:read",))


async def make(database, account, **more):
    return await api_keys.create_key(
        database, account, WISH, prefix=DEFAULT_PREFIX, actor=ACTOR, most_keys=MOST, **more
    )


@pytest.fixture
async def full(database):
    """An account that has as many keys as it may have, and their ids."""
    account = (await accounts.create_account(database, "Full", actor=ACTOR)).id
    return account, [(await make(database, account)).listed.record.id for _ in range(MOST)]


async def test_keys_beyond_the_number_are_refused_until_one_is_revoked(database, full):
    account, (first, second, _) = full
    with pytest.raises(ConflictError, match="revoke those that nobody uses, or raise TOKENSVC_KEY"):
        await make(database, account)
    await endings.disable_key(database, second, actor=ACTOR)
    with pytest.raises(ConflictError):
        await make(database, account)
    await endings.revoke_key(database, first, actor=ACTOR)
    await make(database, account)


async def test_it_is_exact_when_two_processes_make_keys_at_once(database, database_url):
    account = (await accounts.create_account(database, "Busy", actor=ACTOR)).id
    other = await open_database(database_url, max_size=10)
    try:
        made = await asyncio.gather(
            *[make(one, account) for one in (database, other) * 8], return_exceptions=True
        )
    finally:
        await other.close()
    assert [type(one) for one in made].count(api_keys.NewKey) == MOST
    assert [type(one) for one in made].count(ConflictError) == 16 - MOST


async def test_a_rotation_with_a_grace_needs_a_place_and_one_without_does_not(database, full):
    _, (first, *_) = full

    async def rotate(grace):
        return await key_rotation.rotate_key(
            database, first, grace=grace, prefix=DEFAULT_PREFIX, actor=ACTOR, most_keys=MOST
        )

    with pytest.raises(ConflictError, match="live keys"):
        await rotate(timedelta(days=1))
    await rotate(timedelta())


async def test_a_key_that_has_expired_comes_back_only_to_a_free_place(database, connection, full):
    account, (first, second, third) = full
    gone = await make_key(database, account=account)
    key_id = gone.listed.record.id
    await connection.execute(
        "update api_key set expires_at = clock_timestamp() - interval '1 s' where id = $1", key_id
    )
    longer = api_keys.KeyChanges(life=timedelta(days=1))
    caller = BatchCaller(actor=ACTOR, grantor=None, owner=None, most_keys=MOST)
    with pytest.raises(ConflictError, match="live keys"):
        await api_keys.update_key(database, key_id, longer, actor=ACTOR, most_keys=MOST)
    outcomes = await key_batches.update_keys(
        database, {key_id: longer, second: longer}, caller=caller
    )
    assert isinstance(outcomes[key_id].error, ConflictError)
    assert outcomes[second].error is None
    await endings.revoke_key(database, first, actor=ACTOR)
    await endings.revoke_key(database, third, actor=ACTOR)
    back = await api_keys.update_key(database, key_id, longer, actor=ACTOR, most_keys=MOST)
    assert back.listed.state == "active"
