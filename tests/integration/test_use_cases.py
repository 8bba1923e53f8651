from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests.integration.things import ACTOR, make_key

from tokensvc.core.errors import ConflictError, InvalidInputError, NotFoundError
from tokensvc.issuer.admin import accounts, api_keys, audiences, capabilities
from tokensvc.issuer.audit import list_events
from tokensvc.issuer.revoking import watermarks

PREFIX = "tsk-"


async def trail(database, subject):
    """Return what happened to a thing, oldest first."""
    return [
        event.action for event in reversed(await list_events(database, subject=subject, most=50))
    ]


async def test_an_account_is_created_suspended_resumed_and_deleted(database):
    account = await accounts.create_account(database, "  Orders team ", actor=ACTOR)
    assert (account.name, account.state) == ("Orders team", "active")
    for _ in range(2):  # repeating changes nothing
        assert (
            await watermarks.suspend_account(database, account.id, actor=ACTOR)
        ).state == "suspended"
    for _ in range(2):
        assert (await accounts.resume_account(database, account.id, actor=ACTOR)).state == "active"
    assert await accounts.load_account(database, account.id) in await accounts.list_accounts(
        database
    )
    await watermarks.delete_account(database, account.id, actor=ACTOR)
    assert await accounts.list_accounts(database) == []
    acts = [
        "account.create",
        "account.suspend",
        "account.suspend",
        "account.resume",
        "account.delete",
    ]
    assert await trail(database, account.id) == acts, (
        "a repeated suspension proves that the first is durable"
    )


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "line\nbreak", "bell\a"])
async def test_a_name_that_is_none_is_refused(name, database, started):
    with pytest.raises(InvalidInputError, match="a name must have 1 to 200 printable characters"):
        await accounts.create_account(database, name, actor=ACTOR)
    with pytest.raises(InvalidInputError, match="a name must have"):
        await make_key(database, account=started.admin.listed.record.account_id, name=name)


async def test_what_does_not_exist_is_not_found(database, subtests):
    gone = await make_key(database)
    await watermarks.delete_account(database, gone.listed.record.account_id, actor=ACTOR)
    changes = api_keys.KeyChanges(name="x")
    for account_id in ("acct_0000000000000000", "junk'; --", gone.listed.record.account_id):
        acts: list[Any] = [
            accounts.load_account(database, account_id),
            watermarks.suspend_account(database, account_id, actor=ACTOR),
            accounts.resume_account(database, account_id, actor=ACTOR),
            watermarks.delete_account(database, account_id, actor=ACTOR),
            api_keys.list_keys(database, account_id),
            make_key(database, account=account_id),
        ]
        for act in acts:
            with (
                subtests.test(msg=f"{act.__name__} {account_id}"),
                pytest.raises(NotFoundError, match="there is no account"),
            ):
                await act
    for key_id in ("key_0000000000000000", "junk", gone.listed.record.id):
        acts = [
            api_keys.load_key(database, key_id),
            api_keys.update_key(database, key_id, changes, actor=ACTOR),
            watermarks.disable_key(database, key_id, actor=ACTOR),
            api_keys.enable_key(database, key_id, actor=ACTOR),
            api_keys.rotate_key(database, key_id, grace=timedelta(), prefix=PREFIX, actor=ACTOR),
            watermarks.revoke_key(database, key_id, actor=ACTOR),
        ]
        for act in acts:
            with (
                subtests.test(msg=f"{act.__name__} {key_id}"),
                pytest.raises(NotFoundError, match="there is no key"),
            ):
                await act


async def test_a_key_is_created_listed_and_its_text_is_stored_nowhere(database, connection):
    first = await make_key(database, name="one", life=timedelta(days=90))
    second = await make_key(database, name="two", account=first.listed.record.account_id)
    await make_key(database, name="elsewhere")
    record = first.listed.record
    assert [
        listed.record.name for listed in await api_keys.list_keys(database, record.account_id)
    ] == ["one", "two"]
    assert len(await api_keys.list_keys(database)) == 3
    assert record.expires_at == record.created_at + timedelta(days=90)
    assert second.listed.record.expires_at is None
    assert record.hint == f"tsk-...{first.key.text[-4:]}"
    assert first.listed.state == "active"
    assert first.key.text not in repr(first)
    row = await connection.fetchrow("select * from api_key where id = $1", record.id)
    assert bytes(row["digest"]) == first.key.digest
    assert first.key.text not in str(
        [dict(r) for r in await connection.fetch("select * from api_key, audit_event")]
    )


async def test_a_key_is_updated_and_the_audit_trail_says_how(database):
    key = (await make_key(database, life=timedelta(days=1))).listed.record
    changes = api_keys.KeyChanges(
        name="renamed", description="more\nwords", capabilities=["orders:read"], life=timedelta()
    )
    changed = (await api_keys.update_key(database, key.id, changes, actor="somebody")).record
    assert (changed.name, changed.description, changed.capabilities, changed.expires_at) == (
        "renamed",
        "more\nwords",
        ("orders:read",),
        None,
    )
    same = (await api_keys.update_key(database, key.id, api_keys.KeyChanges(), actor=ACTOR)).record
    assert same == changed
    again = (
        await api_keys.update_key(
            database, key.id, api_keys.KeyChanges(life=timedelta(hours=1)), actor=ACTOR
        )
    ).record
    assert again.expires_at is not None
    (event,) = [
        event
        for event in await list_events(database, subject=key.id, most=9)
        if event.actor == "somebody"
    ]
    assert (event.action, event.detail["before"]["name"], event.detail["after"]["name"]) == (
        "key.update",
        "ci",
        "renamed",
    )


async def test_tokens_can_be_ended_without_ending_a_key_whether_it_is_enabled_or_not(
    database, connection
):
    for disable in (False, True):
        key = (await make_key(database)).listed.record
        if disable:
            await watermarks.disable_key(database, key.id, actor=ACTOR)
        changed = await api_keys.update_key(
            database, key.id, api_keys.KeyChanges(), actor=ACTOR, revoke_tokens=True
        )
        assert changed.state == ("disabled" if disable else "active")
        marks = await connection.fetchval("select count(*) from denylist where value = $1", key.id)
        assert marks == (2 if disable else 1)


async def test_the_states_of_a_key_allow_what_they_should(database, connection, subtests):
    async def in_state(state):
        key = (await make_key(database)).listed.record
        if state == "disabled":
            await watermarks.disable_key(database, key.id, actor=ACTOR)
        if state == "revoked":
            await watermarks.revoke_key(database, key.id, actor=ACTOR)
        if state == "expired":
            await connection.execute(
                "update api_key set expires_at = clock_timestamp() where id = $1", key.id
            )
        return key.id

    def acts(key_id):
        return {
            "update": api_keys.update_key(
                database, key_id, api_keys.KeyChanges(name="x"), actor=ACTOR
            ),
            "disable": watermarks.disable_key(database, key_id, actor=ACTOR),
            "enable": api_keys.enable_key(database, key_id, actor=ACTOR),
            "rotate": api_keys.rotate_key(
                database, key_id, grace=timedelta(hours=1), prefix=PREFIX, actor=ACTOR
            ),
            "revoke": watermarks.revoke_key(database, key_id, actor=ACTOR),
            "delete": watermarks.delete_key(database, key_id, actor=ACTOR),
        }

    allowed = {
        "active": {"update", "disable", "enable", "rotate", "revoke", "delete"},
        "disabled": {"update", "disable", "enable", "revoke", "delete"},
        "expired": {"update", "disable", "enable", "revoke", "delete"},
        "revoked": {"revoke", "delete"},
    }
    for state, good in allowed.items():
        for verb in allowed["active"]:
            with subtests.test(msg=f"{verb} {state}"):
                possible = acts(await in_state(state))
                act = possible.pop(verb)
                for other in possible.values():
                    other.close()
                if verb in good:
                    await act
                else:
                    with pytest.raises(
                        ConflictError,
                        match=rf"is {state} and cannot be \w+; create a new key instead",
                    ):
                        await act


async def test_disabling_and_enabling_again_and_again_changes_nothing_more(database, connection):
    key = (await make_key(database)).listed.record
    for state, act in [("disabled", watermarks.disable_key)] * 2 + [
        ("active", api_keys.enable_key)
    ] * 2:
        assert (await act(database, key.id, actor=ACTOR)).state == state
    for _ in range(2):
        assert (
            await watermarks.revoke_key(database, key.id, actor=ACTOR)
        ).listed.state == "revoked"
    acts = ["key.create", "key.disable", "key.disable", "key.enable", "key.revoke", "key.revoke"]
    assert await trail(database, key.id) == acts, "a repeated stop proves that the first is durable"
    assert await connection.fetchval("select count(*) from denylist") == 2


async def test_a_rotated_key_works_through_its_grace_and_no_longer(database):
    old = (await make_key(database, life=timedelta(days=90))).listed.record
    new = await api_keys.rotate_key(
        database, old.id, grace=timedelta(hours=1), prefix=PREFIX, actor=ACTOR
    )
    after, before = new.listed.record, (await api_keys.load_key(database, old.id)).record
    assert (after.account_id, after.name, after.capabilities) == (
        old.account_id,
        old.name,
        old.capabilities,
    )
    assert (after.predecessor_id, before.successor_id) == (old.id, after.id)
    assert after.expires_at == after.created_at + timedelta(days=90)
    assert before.expires_at is not None
    assert abs(before.expires_at - after.created_at - timedelta(hours=1)) < timedelta(seconds=5)
    with pytest.raises(
        ConflictError, match=f"has been rotated already: its successor is {after.id}"
    ):
        await api_keys.rotate_key(database, old.id, grace=timedelta(), prefix=PREFIX, actor=ACTOR)
    last = await api_keys.rotate_key(
        database, after.id, grace=timedelta(), prefix=PREFIX, actor=ACTOR
    )
    assert (await api_keys.load_key(database, after.id)).state == "expired"
    assert (last.listed.state, last.key.text != new.key.text) == ("active", True)
    assert await trail(database, old.id) == ["key.create", "key.rotate"]


async def test_a_grace_never_lengthens_a_life(database):
    old = (await make_key(database, life=timedelta(minutes=5))).listed.record
    await api_keys.rotate_key(database, old.id, grace=timedelta(days=7), prefix=PREFIX, actor=ACTOR)
    assert (await api_keys.load_key(database, old.id)).record.expires_at == old.expires_at
    for grace in (timedelta(seconds=-1), timedelta(days=-9)):
        with pytest.raises(InvalidInputError, match="between nothing and a hundred years"):
            await api_keys.rotate_key(database, old.id, grace=grace, prefix=PREFIX, actor=ACTOR)


async def test_a_double_click_makes_one_successor(database):
    key = (await make_key(database)).listed.record
    rotations = [
        api_keys.rotate_key(database, key.id, grace=timedelta(hours=1), prefix=PREFIX, actor=ACTOR)
        for _ in range(4)
    ]
    results = await asyncio.gather(*rotations, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["ConflictError"] * 3 + ["NewKey"]


async def test_deleting_a_key_or_account_keeps_its_audit_trail(database, connection):
    key = (await make_key(database)).listed.record
    await watermarks.delete_key(database, key.id, actor=ACTOR)
    assert await api_keys.list_keys(database) == []
    assert await trail(database, key.id) == ["key.create", "key.delete"]
    revoked = (await make_key(database)).listed.record
    await watermarks.revoke_key(database, revoked.id, actor=ACTOR)
    await watermarks.delete_key(database, revoked.id, actor=ACTOR)
    assert (
        await connection.fetchval("select count(*) from denylist where value = $1", revoked.id) == 1
    ), "its tokens are revoked already"
    with pytest.raises(NotFoundError):
        await watermarks.delete_key(database, revoked.id, actor=ACTOR)
    await watermarks.delete_account(database, revoked.account_id, actor=ACTOR)
    assert await trail(database, revoked.account_id) == ["account.create", "account.delete"]


@pytest.mark.parametrize("life", [timedelta(), timedelta(seconds=-1)])
async def test_a_key_that_would_be_expired_from_the_start_is_refused(life, database):
    with pytest.raises(InvalidInputError, match="at least one second"):
        await make_key(database, life=life)


async def test_a_key_without_capabilities_is_refused(database):
    with pytest.raises(InvalidInputError, match="needs at least one capability"):
        await make_key(database, capabilities=[])
    with pytest.raises(InvalidInputError, match="a capability is 1 to 64"):
        await make_key(database, capabilities=["with space"])


async def test_a_capability_that_is_new_is_added_unless_it_looks_like_a_slip(database):
    await make_key(database, capabilities=["orders:read"])
    assert [capability.name for capability in await capabilities.list_capabilities(database)] == [
        "orders:read"
    ]
    for slip in ("orders:raed", "order:read", "orders:reads"):
        with pytest.raises(InvalidInputError, match="did you mean 'orders:read'") as caught:
            await make_key(database, capabilities=["orders:read", slip])
        assert f"tokensvc capability add {slip}" in caught.value.message
    added = await capabilities.add_capability(database, "orders:reads", "meant so", actor=ACTOR)
    assert (added.name, added.description) == ("orders:reads", "meant so")
    assert (await make_key(database, capabilities=["orders:reads"])).listed.record.capabilities == (
        "orders:reads",
    )
    with pytest.raises(ConflictError, match="exists already"):
        await capabilities.add_capability(database, "orders:read", "", actor=ACTOR)
    with pytest.raises(InvalidInputError):
        await capabilities.add_capability(database, 'quo"te', "", actor=ACTOR)


async def test_keys_made_at_once_with_a_capability_that_is_new_are_all_made(database, started):
    owner = started.admin.listed.record.account_id
    for name in ("alpha", "bravo", "charlie", "delta", "echo"):
        made = await asyncio.gather(
            *(make_key(database, account=owner, capabilities=[name]) for _ in range(6)),
            return_exceptions=True,
        )
        assert [error for error in made if isinstance(error, BaseException)] == []


async def test_a_capability_that_a_key_holds_is_not_removed(database):
    key = (await make_key(database)).listed.record
    with pytest.raises(ConflictError, match=r"is held by 1 key\(s\); take it from them first"):
        await capabilities.remove_capability(database, "orders:write", actor=ACTOR)
    assert len(await capabilities.list_capabilities(database)) == 2
    await api_keys.update_key(
        database, key.id, api_keys.KeyChanges(capabilities=["orders:read"]), actor=ACTOR
    )
    await capabilities.remove_capability(database, "orders:write", actor=ACTOR)
    await watermarks.revoke_key(database, key.id, actor=ACTOR)
    await capabilities.remove_capability(database, "orders:read", actor=ACTOR)
    with pytest.raises(NotFoundError, match="there is no capability"):
        await capabilities.remove_capability(database, "orders:read", actor=ACTOR)


async def test_a_key_made_while_its_capability_is_removed_waits_for_the_outcome(
    database, connection
):
    await capabilities.add_capability(database, "orders:read", "", actor=ACTOR)
    async with connection.transaction():
        await connection.execute("delete from capability where name = 'orders:read'")
        making = asyncio.create_task(make_key(database, capabilities=["orders:read"]))
        await asyncio.sleep(0.1)
        assert not making.done()
    await making
    assert [capability.name for capability in await capabilities.list_capabilities(database)] == [
        "orders:read"
    ]


async def test_audiences_are_added_changed_and_removed(database, settings, started):
    del started
    life = timedelta(minutes=5)
    added = await audiences.add_audience(
        database, settings, "orders", description=" shop ", token_life=life, actor=ACTOR
    )
    assert (added.name, added.description, added.token_life) == ("orders", "shop", life)
    with pytest.raises(ConflictError, match="exists already"):
        await audiences.add_audience(database, settings, "orders", actor=ACTOR)
    same = await audiences.update_audience(
        database, settings, "orders", description=None, token_life=None, actor=ACTOR
    )
    assert same == added
    changed = await audiences.update_audience(
        database, settings, "orders", description="x", token_life=timedelta(), actor=ACTOR
    )
    assert (changed.description, changed.token_life) == ("x", None)
    await audiences.remove_audience(database, settings, "orders", actor=ACTOR)
    with pytest.raises(NotFoundError, match="there is no audience 'orders'"):
        await audiences.remove_audience(database, settings, "orders", actor=ACTOR)
    with pytest.raises(NotFoundError, match="there is no audience 'orders'"):
        await audiences.update_audience(
            database, settings, "orders", description="x", token_life=None, actor=ACTOR
        )
    with pytest.raises(
        ConflictError, match="'api' is the default audience; set TOKENSVC_DEFAULT_AUDIENCE"
    ):
        await audiences.remove_audience(database, settings, "api", actor=ACTOR)
    assert await trail(database, "orders") == [
        "audience.add",
        "audience.update",
        "audience.update",
        "audience.remove",
    ]


@pytest.mark.parametrize(
    "name", ["", "x" * 256, "with space", 'quo"te', "back\\slash", "ümlaut", "new\nline"]
)
async def test_an_audience_that_could_break_a_header_is_refused(name, database, settings):
    with pytest.raises(
        InvalidInputError, match="an audience has 1 to 255 visible ASCII characters"
    ):
        await audiences.add_audience(database, settings, name, actor=ACTOR)


@pytest.mark.parametrize("seconds", [-1, 0, 3601])
async def test_a_token_life_beyond_the_limit_is_refused(seconds, database, settings):
    with pytest.raises(
        InvalidInputError, match=r"between 1 s and TOKENSVC_MAX_TOKEN_TTL \(3600 s\)"
    ):
        await audiences.add_audience(
            database, settings, "orders", token_life=timedelta(seconds=seconds), actor=ACTOR
        )
