"""Accounts: created, suspended, resumed, deleted; and what is there no more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests import endings
from tests.integration.things import ACTOR, list_acts, make_key
from tests.rows import list_accounts, list_keys, load_account, load_key

from tokensvc.core.errors import InvalidInputError, NotFoundError
from tokensvc.issuer.admin import accounts, api_keys, key_rotation

PREFIX = "tsk-"


async def test_an_account_is_created_suspended_resumed_and_deleted(database):
    account = await accounts.create_account(database, "  Orders team ", actor=ACTOR)
    assert (account.name, account.state) == ("Orders team", "active")
    for _ in range(2):  # repeating changes nothing
        suspended = (await endings.suspend_account(database, account.id, actor=ACTOR)).account
        assert suspended.state == "suspended"
    for _ in range(2):
        resumed = await accounts.resume_account(database, account.id, actor=ACTOR)
        assert resumed.state == "active"
    loaded = await load_account(database, account.id)
    assert loaded in await list_accounts(database)
    await endings.delete_account(database, account.id, actor=ACTOR)
    assert await list_accounts(database) == []
    acts = ["create", "suspend", "resume", "delete"]
    assert await list_acts(database, account.id) == [f"accounts.{act}" for act in acts]


async def test_a_name_that_is_empty_or_cannot_be_printed_is_refused(database, started, subtests):
    for name in (
        "",
        "   ",
        "x" * 201,
        "line\nbreak",
        "bell\a",
    ):
        with subtests.test(msg=name):
            with pytest.raises(
                InvalidInputError, match="a name must have 1 to 200 printable characters"
            ):
                await accounts.create_account(database, name, actor=ACTOR)
            with pytest.raises(InvalidInputError, match="a name must have"):
                await make_key(database, account=started.admin.listed.record.account_id, name=name)


async def test_what_does_not_exist_is_not_found(database, subtests):
    gone = await make_key(database)
    await endings.delete_account(database, gone.listed.record.account_id, actor=ACTOR)
    changes = api_keys.KeyChanges(name="x")
    for account_id in ("acct_0000000000000000", "junk'; --", gone.listed.record.account_id):
        acts: list[Any] = [
            load_account(database, account_id),
            endings.suspend_account(database, account_id, actor=ACTOR),
            accounts.resume_account(database, account_id, actor=ACTOR),
            endings.delete_account(database, account_id, actor=ACTOR),
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
            load_key(database, key_id),
            api_keys.update_key(database, key_id, changes, actor=ACTOR),
            endings.disable_key(database, key_id, actor=ACTOR),
            api_keys.enable_key(database, key_id, actor=ACTOR),
            key_rotation.rotate_key(
                database, key_id, grace=timedelta(), prefix=PREFIX, actor=ACTOR
            ),
            endings.revoke_key(database, key_id, actor=ACTOR),
        ]
        for act in acts:
            with (
                subtests.test(msg=f"{act.__name__} {key_id}"),
                pytest.raises(NotFoundError, match="there is no key"),
            ):
                await act


async def test_deleting_a_key_or_account_keeps_its_audit_trail(database, connection):
    key = (await make_key(database)).listed.record
    await endings.delete_key(database, key.id, actor=ACTOR)
    assert await list_keys(database) == []
    assert await list_acts(database, key.id) == ["keys.create", "keys.delete"]
    revoked = (await make_key(database)).listed.record
    await endings.revoke_key(database, revoked.id, actor=ACTOR)
    await endings.delete_key(database, revoked.id, actor=ACTOR)
    count = "select count(*) from denylist where value = $1"
    assert await connection.fetchval(count, revoked.id) == 1, "its tokens were revoked before"
    with pytest.raises(NotFoundError):
        await endings.delete_key(database, revoked.id, actor=ACTOR)
    await endings.delete_account(database, revoked.account_id, actor=ACTOR)
    assert await list_acts(database, revoked.account_id) == ["accounts.create", "accounts.delete"]
