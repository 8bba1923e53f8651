"""Capabilities: added with the keys that have them, or apart, and removed."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from testbed.waiting import until
from tests import endings
from tests.integration.things import ACTOR, make_key, patiently
from tests.rows import list_capabilities

from tokensvc.core.capability import OWN_CAPABILITIES
from tokensvc.core.errors import ConflictError, InvalidInputError, NotFoundError
from tokensvc.issuer.admin import api_keys, capabilities
from tokensvc.store.primary import connect

WAITING = (
    "select exists (select from pg_stat_activity"
    " where datname = current_database() and wait_event_type = 'Lock')"
)


async def list_names(database):
    """Return the names that are not of the service itself."""
    known = [capability.name for capability in await list_capabilities(database)]
    return [name for name in known if name not in OWN_CAPABILITIES]


async def test_a_capability_that_is_new_is_added_unless_it_looks_like_a_slip(database):
    await make_key(database, capabilities=["orders:read"])
    assert await list_names(database) == ["orders:read"]
    for slip in ("orders:raed", "order:read", "orders:reads"):
        with pytest.raises(InvalidInputError, match="did you mean 'orders:read'") as caught:
            await make_key(database, capabilities=["orders:read", slip])
        assert f"tokensvc capability create {slip}" in caught.value.message
    added = await capabilities.create_capability(database, "orders:reads", "meant so", actor=ACTOR)
    assert (added.name, added.description) == ("orders:reads", "meant so")
    key = await make_key(database, capabilities=["orders:reads"])
    assert key.listed.record.terms.capabilities == ("orders:reads",)
    with pytest.raises(ConflictError, match="exists already"):
        await capabilities.create_capability(database, "orders:read", "", actor=ACTOR)
    with pytest.raises(InvalidInputError):
        await capabilities.create_capability(database, 'quo"te', "", actor=ACTOR)


async def test_keys_made_at_once_with_a_capability_that_is_new_are_all_made(database, started):
    owner = started.admin.listed.record.account_id
    for name in ("alpha", "bravo", "charlie", "delta", "echo"):
        made = await asyncio.gather(
            *(
                patiently(partial(make_key, database, account=owner, capabilities=[name]))
                for _ in range(6)
            ),
            return_exceptions=True,
        )
        assert [error for error in made if isinstance(error, BaseException)] == []


async def test_a_capability_that_a_key_holds_is_not_removed(database):
    key = (await make_key(database)).listed.record
    with pytest.raises(ConflictError, match=r"is held by 1 key\(s\); take it from them first"):
        await capabilities.delete_capability(database, "orders:write", actor=ACTOR)
    assert await list_names(database) == ["orders:read", "orders:write"]
    await api_keys.update_key(
        database, key.id, api_keys.KeyChanges(capabilities=["orders:read"]), actor=ACTOR
    )
    await capabilities.delete_capability(database, "orders:write", actor=ACTOR)
    await endings.revoke_key(database, key.id, actor=ACTOR)
    await capabilities.delete_capability(database, "orders:read", actor=ACTOR)
    with pytest.raises(NotFoundError, match="there is no capability"):
        await capabilities.delete_capability(database, "orders:read", actor=ACTOR)


async def test_those_of_the_service_itself_are_there_say_what_they_allow_and_stay(database):
    known = {each.name: each for each in await list_capabilities(database)}
    for name in OWN_CAPABILITIES:
        assert known[name].description.startswith("May ")
        with pytest.raises(ConflictError, match="is of the service itself, and stays"):
            await capabilities.delete_capability(database, name, actor=ACTOR)


async def test_a_key_made_while_its_capability_is_removed_waits_for_the_outcome(
    database, database_url, connection
):
    await capabilities.create_capability(database, "orders:read", "", actor=ACTOR)
    other = await connect(database_url)
    async with connection.transaction():
        await connection.execute("delete from capability where name = 'orders:read'")
        making = asyncio.create_task(make_key(database, capabilities=["orders:read"]))
        await until(lambda: other.fetchval(WAITING))
    await other.close()
    await making
    assert await list_names(database) == ["orders:read"]
