"""The first start and every start: killed, repeated, at once, and refused."""

from __future__ import annotations

import asyncio
import base64
import secrets
from dataclasses import replace

import asyncpg
import pytest
from testbed.waiting import until
from tests.endings import delete_account
from tests.factories import make_settings
from tests.integration.start import STAGES, check_all_is_there, signing_keys
from tests.rows import list_accounts, list_audiences, list_events, list_keys

from tokensvc.core.actor import Actor
from tokensvc.core.audit_event import AuditFilter
from tokensvc.core.errors import ConflictError, StartRefusedError
from tokensvc.core.sealing import unseal
from tokensvc.issuer.admin.audiences import delete_audience
from tokensvc.issuer.service import open_service
from tokensvc.issuer.start import initialise
from tokensvc.store.keyfile import create_master_key, find_master_key
from tokensvc.store.pool import open_database
from tokensvc.store.primary import connect


async def test_the_first_start_makes_all_that_is_needed_and_the_second_nothing(database, settings):
    first = await initialise(database, settings)
    path = settings.master_key_path
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(base64.b64decode(path.read_bytes())) == 32
    signer, standby = sorted(
        await signing_keys(database), key=lambda record: record.active_at is None
    )
    assert signer.active_at is not None
    assert standby.active_at is None
    names = [audience.name for audience in await list_audiences(database)]
    assert names == ["api", "tokensvc", "tokensvc:dashboard"]
    assert [account.name for account in await list_accounts(database)] == ["admin"]
    assert first.admin is not None
    assert first.admin.listed.record.terms.capabilities == ("tokensvc:admin",)
    before = (
        path.read_bytes(),
        await signing_keys(database),
        await list_events(database, AuditFilter(), most=99),
    )
    second = await initialise(database, settings)
    assert second.admin is None
    assert second.master_key == first.master_key
    assert before == (
        path.read_bytes(),
        await signing_keys(database),
        await list_events(database, AuditFilter(), most=99),
    )
    assert first.admin.key.text not in repr(first)


async def test_no_second_admin_is_made_after_the_first_account_was_deleted(
    database, settings, started
):
    await delete_account(database, started.admin.listed.record.account_id, actor=Actor(name="test"))
    assert (await initialise(database, settings)).admin is None
    assert await list_accounts(database) == []


async def test_a_new_default_audience_is_made_beside_the_old_one(database, settings, started):
    del started
    await initialise(database, settings.model_copy(update={"default_audience": "other"}))
    assert [audience.name for audience in await list_audiences(database)] == [
        "api",
        "other",
        "tokensvc",
        "tokensvc:dashboard",
    ]


async def test_t6_an_audience_of_the_services_own_name_that_was_made_by_hand_refuses_the_start(
    database, settings, started, connection
):
    del started
    await connection.execute("update audience set is_own = false where name = 'tokensvc'")
    with pytest.raises(StartRefusedError, match="tokensvc' was made by hand") as refusal:
        await initialise(database, settings)
    assert refusal.value.message.endswith("then run: tokensvc audience delete tokensvc")
    await delete_audience(database, settings, "tokensvc", actor=Actor(name="test"))
    await initialise(database, settings)
    with pytest.raises(ConflictError, match="calls to the service itself"):
        await delete_audience(database, settings, "tokensvc", actor=Actor(name="test"))


async def test_f18_several_starters_at_once_on_an_empty_database_make_one_of_everything(
    new_database_url, settings
):
    url = await asyncio.to_thread(new_database_url, "empty")
    databases = [await open_database(url, max_size=3) for _ in range(4)]
    results = await asyncio.gather(*(initialise(database, settings) for database in databases))
    assert sum(result.admin is not None for result in results) == 1
    assert len({result.master_key for result in results}) == 1
    assert len(await signing_keys(databases[0])) == 2
    assert len(await list_accounts(databases[0])) == len(await list_keys(databases[0])) == 1
    for database in databases:
        await database.close()


@pytest.mark.parametrize("stage", STAGES)
async def test_a_start_that_ended_half_way_is_repeated_as_if_nothing_had_happened(
    stage, new_database_url, settings
):
    """A start that is killed as a process: tests/soak/test_start.py."""
    url = await asyncio.to_thread(new_database_url, "empty")
    database, watcher = await open_database(url, max_size=3), await connect(url)
    starting = asyncio.create_task(initialise(database, settings))

    async def is_reached():
        try:
            return starting.done() or await watcher.fetchval(stage)
        except asyncpg.UndefinedTableError:
            return False

    await until(is_reached)
    starting.cancel()
    await asyncio.wait([starting])
    await check_all_is_there(database, settings)
    await watcher.close()
    await database.close()


SPOILT = {
    "missing": (
        lambda path: path.unlink(),
        "is missing, and the database holds signing keys that it sealed. Restore it",
    ),
    "of somebody else": (
        lambda path: path.write_bytes(base64.b64encode(secrets.token_bytes(32))),
        "the master key does not open signing key .*: it is not the one that sealed it",
    ),
    "readable by others": (
        lambda path: path.chmod(0o644),
        r"can be read by others \(mode 0644\); run: chmod 600",
    ),
    "writable by the group": (
        lambda path: path.chmod(0o660),
        r"can be read by others \(mode 0660\); run: chmod 600",
    ),
    "garbage": (
        lambda path: path.write_bytes(b"\xff\xfe garbage"),
        "does not hold a master key: 32 bytes in base64 on one line",
    ),
    "too short": (
        lambda path: path.write_bytes(base64.b64encode(b"x" * 31)),
        "does not hold a master key",
    ),
    "empty": (lambda path: path.write_bytes(b""), "does not hold a master key"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "cannot be read: Is a directory"),
}


@pytest.mark.parametrize("name", SPOILT)
async def test_a_master_key_that_will_not_do_refuses_the_start_and_says_why(
    name, database, settings, started, database_url
):
    del started
    spoil, message = SPOILT[name]
    path = settings.master_key_path
    secret = path.read_text().strip()
    spoil(path)
    for act in (
        lambda: initialise(database, settings),
        lambda: open_service(settings, database_url).__aenter__(),
    ):
        with pytest.raises(StartRefusedError, match=message) as caught:
            await act()
        assert secret not in caught.value.message
        if path.is_file():
            assert (
                path.read_bytes().strip() == b""
                or path.read_bytes().decode("latin-1").strip() not in caught.value.message
            )
    assert len(await signing_keys(database)) == 2


async def test_a_master_key_that_is_named_but_missing_is_never_made(database, settings, tmp_path):
    named = make_settings(
        **settings.model_dump(exclude_none=True, exclude={"is_credential"})
        | {"master_key_file": tmp_path / "elsewhere" / "master.key"}
    )
    with pytest.raises(
        StartRefusedError,
        match=r"elsewhere/master.key is missing, or point TOKENSVC_MASTER_KEY_FILE",
    ):
        await initialise(database, named)
    assert not (tmp_path / "elsewhere").exists()


async def test_a_signing_key_whose_row_was_tampered_with_refuses_the_start(
    database, settings, started, connection
):
    records = await signing_keys(database)
    await connection.execute(
        "update signing_key set sealed_private_key = $1 where kid = $2",
        records[0].sealed_private_key,
        records[1].kid,
    )
    with pytest.raises(StartRefusedError, match=f"does not open signing key {records[1].kid}"):
        await initialise(database, settings)
    with pytest.raises(StartRefusedError):
        unseal(replace(records[0], sealed_private_key=b"short"), started.master_key)


async def test_a_revoked_signing_key_needs_no_master_key(database, settings, started, connection):
    del started
    (first, _) = await signing_keys(database)
    await connection.execute(
        "update signing_key set revoked_at = clock_timestamp(), sealed_private_key = $1"
        " where kid = $2",
        b"lost",
        first.kid,
    )
    await initialise(database, settings)


def test_makers_of_the_master_key_at_once_agree_on_one(tmp_path):
    path = tmp_path / "keys" / "master.key"
    made = [create_master_key(path) for _ in range(3)]
    assert made == [find_master_key(path)] * 3
    assert [entry.name for entry in path.parent.iterdir()] == ["master.key"]


def test_a_folder_for_keys_that_cannot_be_made_is_a_clear_refusal(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StartRefusedError, match="file"):
        find_master_key(tmp_path / "file" / "master.key")


async def test_a_keys_folder_that_cannot_be_written_refuses_the_start(database, settings):
    unwritable = settings.model_copy(
        update={"keys_dir": settings.keys_dir.__class__("/proc/tokensvc-keys")}
    )
    with pytest.raises(StartRefusedError, match="/proc/tokensvc-keys"):
        await initialise(database, unwritable)


async def test_a_database_that_never_answers_is_given_up_after_a_while(settings, tmp_path):
    database = await open_database(f"postgresql://u:secret@/d?host={tmp_path}", max_size=2)
    with pytest.raises(
        StartRefusedError, match=r"did not answer within 1 s.*TOKENSVC_DATABASE_URL"
    ) as caught:
        await initialise(database, settings.model_copy(update={"database_wait": 1}))
    assert "secret" not in caught.value.message
    await database.close()


async def test_a_longest_life_is_only_ever_raised(database, settings, started, connection):
    del started

    async def life():
        return (await connection.fetchval("select longest_life from issuance")).total_seconds()

    longer = {"token_ttl": 7200, "max_token_ttl": 7200}
    assert await life() == 3600  # of tokens for the service itself
    await initialise(database, settings.model_copy(update=longer))
    assert await life() == 7200
    await initialise(database, settings.model_copy(update={"token_ttl": 60}))
    assert await life() == 7200


async def test_a_database_belongs_to_one_issuer_until_the_operator_says_that_it_has_moved(
    database, settings, started, logs
):
    del started
    named = settings.model_copy(update={"issuer": "https://a.example"})
    await initialise(database, named)
    moved = settings.model_copy(update={"issuer": "https://b.example"})
    with pytest.raises(StartRefusedError, match=r"belongs to https://a\.example.*FORMER_ISSUER"):
        await initialise(database, moved)
    await initialise(database, settings)  # a trial, on loopback
    (warned,) = logs.find("other_identity")
    assert "belongs to https://a.example" in warned["detail"]
    told = moved.model_copy(update={"former_issuer": "https://a.example"})
    await initialise(database, told)
    await initialise(database, moved)
    with pytest.raises(StartRefusedError, match=r"belongs to https://b\.example"):
        await initialise(database, named)
