"""API keys: created, changed, disabled, enabled, rotated."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests import endings
from tests.integration.things import ACTOR, list_acts, make_key
from tests.rows import list_events, list_keys, load_key

from tokensvc.core.actor import Actor
from tokensvc.core.audit_event import AuditFilter
from tokensvc.core.errors import ConflictError, InvalidInputError
from tokensvc.issuer.admin import api_keys, key_rotation

PREFIX = "tsk-"


async def test_t22_a_key_is_created_listed_and_its_text_is_stored_nowhere(database, connection):
    first = await make_key(database, name="one", life=timedelta(days=90))
    second = await make_key(database, name="two", account=first.listed.record.account_id)
    await make_key(database, name="elsewhere")
    record = first.listed.record
    of_account = await list_keys(database, record.account_id)
    assert [listed.record.terms.name for listed in of_account] == ["one", "two"]
    assert len(await list_keys(database)) == 3
    assert record.expires_at == record.created_at + timedelta(days=90)
    assert second.listed.record.expires_at is None
    assert record.hint == f"tsk-...{first.key.text[-4:]}"
    assert first.listed.state == "active"
    assert first.key.text not in repr(first)
    row = await connection.fetchrow("select * from api_key where id = $1", record.id)
    assert bytes(row["digest"]) == first.key.digest
    rows = await connection.fetch("select * from api_key, audit_event")
    assert first.key.text not in str([dict(stored) for stored in rows])


async def test_a_key_is_updated_and_the_audit_trail_says_how(database):
    key = (await make_key(database, life=timedelta(days=1))).listed.record
    changes = api_keys.KeyChanges(
        name="renamed", description="more\nwords", capabilities=["orders:read"], life=timedelta()
    )
    changed = (
        await api_keys.update_key(database, key.id, changes, actor=Actor(name="somebody"))
    ).record
    assert (changed.terms.name, changed.terms.description) == ("renamed", "more\nwords")
    assert (changed.terms.capabilities, changed.expires_at) == (("orders:read",), None)
    same = (await api_keys.update_key(database, key.id, api_keys.KeyChanges(), actor=ACTOR)).record
    assert same == changed
    shorter = api_keys.KeyChanges(life=timedelta(hours=1))
    again = (await api_keys.update_key(database, key.id, shorter, actor=ACTOR)).record
    assert again.expires_at is not None
    events = await list_events(database, AuditFilter(subject=key.id), most=9)
    (event,) = [event for event in events if event.actor == "somebody"]
    assert event.operation == "keys.update"
    assert (event.detail["before"]["name"], event.detail["after"]["name"]) == ("ci", "renamed")


async def test_the_audit_trail_keeps_the_same_facts_of_a_key_that_is_made_and_deleted(database):
    key = (await make_key(database, life=timedelta(days=1), per_minute=7)).listed.record
    await endings.delete_key(database, key.id, actor=ACTOR)
    deleted, created = await list_events(database, AuditFilter(subject=key.id), most=9)
    assert (created.operation, deleted.operation) == ("keys.create", "keys.delete")
    assert deleted.detail == created.detail


async def test_tokens_can_be_revoked_while_their_key_stays_enabled_or_disabled(
    database, connection
):
    for disable in (False, True):
        key = (await make_key(database)).listed.record
        if disable:
            await endings.disable_key(database, key.id, actor=ACTOR)
        changed = await api_keys.update_key(
            database, key.id, api_keys.KeyChanges(), actor=ACTOR, revoke_tokens=True
        )
        assert changed.listed.state == ("disabled" if disable else "active")
        marks = await connection.fetchval("select count(*) from denylist where value = $1", key.id)
        assert marks == (2 if disable else 1)


def rotate_key(database, key_id, *, grace=timedelta(hours=1), actor=ACTOR):
    return key_rotation.rotate_key(database, key_id, grace=grace, prefix=PREFIX, actor=actor)


def rename_key(database, key_id, *, actor):
    return api_keys.update_key(database, key_id, api_keys.KeyChanges(name="x"), actor=actor)


ACTS: dict[str, Any] = {
    "update": rename_key,
    "disable": endings.disable_key,
    "enable": api_keys.enable_key,
    "rotate": rotate_key,
    "revoke": endings.revoke_key,
    "delete": endings.delete_key,
}
ALLOWED = {
    "active": set(ACTS),
    "disabled": set(ACTS) - {"rotate"},
    "expired": set(ACTS) - {"rotate"},
    "revoked": {"revoke", "delete"},
}


@pytest.fixture
def make_key_in(database, connection):
    async def make(state):
        key = (await make_key(database)).listed.record
        if state == "disabled":
            await endings.disable_key(database, key.id, actor=ACTOR)
        if state == "revoked":
            await endings.revoke_key(database, key.id, actor=ACTOR)
        if state == "expired":
            await connection.execute(
                "update api_key set expires_at = clock_timestamp() where id = $1", key.id
            )
        return key.id

    return make


@pytest.mark.parametrize("state", ALLOWED)
async def test_the_states_of_a_key_allow_what_they_should(state, make_key_in, database, subtests):
    refused = rf"is {state} and cannot be \w+; create a new key instead"
    for verb, act in ACTS.items():
        key_id = await make_key_in(state)
        with subtests.test(msg=verb):
            if verb in ALLOWED[state]:
                await act(database, key_id, actor=ACTOR)
            else:
                with pytest.raises(ConflictError, match=refused):
                    await act(database, key_id, actor=ACTOR)


async def test_disabling_and_enabling_again_and_again_changes_nothing_more(database, connection):
    key = (await make_key(database)).listed.record
    for _ in range(2):
        assert (await endings.disable_key(database, key.id, actor=ACTOR)).listed.state == "disabled"
    for _ in range(2):
        assert (await api_keys.enable_key(database, key.id, actor=ACTOR)).state == "active"
    for _ in range(2):
        revoked = await endings.revoke_key(database, key.id, actor=ACTOR)
        assert revoked.listed.state == "revoked"
    acts = ["create", "disable", "enable", "revoke"]
    assert await list_acts(database, key.id) == [f"keys.{act}" for act in acts]
    assert await connection.fetchval("select count(*) from denylist") == 2


async def test_a_rotated_key_works_through_its_grace_and_no_longer(database):
    old = (await make_key(database, life=timedelta(days=90))).listed.record
    new = await rotate_key(database, old.id)
    after, before = new.listed.record, (await load_key(database, old.id)).record
    assert (after.account_id, after.terms) == (old.account_id, old.terms)
    assert (after.predecessor_id, before.successor_id) == (old.id, after.id)
    assert after.expires_at == after.created_at + timedelta(days=90)
    assert before.expires_at is not None
    assert abs(before.expires_at - after.created_at - timedelta(hours=1)) < timedelta(seconds=5)
    again = f"has been rotated already: its successor is {after.id}"
    with pytest.raises(ConflictError, match=again):
        await rotate_key(database, old.id)
    last = await rotate_key(database, after.id, grace=timedelta())
    assert (await load_key(database, after.id)).state == "expired"
    assert (last.listed.state, last.key.text != new.key.text) == ("active", True)
    assert await list_acts(database, old.id) == ["keys.create", "keys.rotate"]


async def test_a_grace_never_lengthens_a_life(database):
    old = (await make_key(database, life=timedelta(minutes=5))).listed.record
    await rotate_key(database, old.id, grace=timedelta(days=7))
    assert (await load_key(database, old.id)).record.expires_at == old.expires_at
    for grace in (timedelta(seconds=-1), timedelta(days=-9)):
        with pytest.raises(InvalidInputError, match="between nothing and a hundred years"):
            await rotate_key(database, old.id, grace=grace)


async def test_a_double_click_makes_one_successor(database):
    key = (await make_key(database)).listed.record
    rotations = [rotate_key(database, key.id) for _ in range(4)]
    results = await asyncio.gather(*rotations, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["ConflictError"] * 3 + ["NewKey"]


@pytest.mark.parametrize("life", [timedelta(), timedelta(seconds=-1)])
async def test_a_key_that_would_be_expired_from_the_start_is_refused(life, database):
    with pytest.raises(InvalidInputError, match="at least one second"):
        await make_key(database, life=life)


async def test_a_key_without_capabilities_is_refused(database):
    with pytest.raises(InvalidInputError, match="needs at least one capability"):
        await make_key(database, capabilities=[])
    with pytest.raises(InvalidInputError, match="a capability is 1 to 64"):
        await make_key(database, capabilities=["with space"])
