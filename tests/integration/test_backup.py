"""A backup is made, proved, and put into the place of the database while services run."""

from __future__ import annotations

import asyncio
import shutil
from urllib.parse import unquote, urlsplit

import pytest
from testbed.waiting import until
from tests import endings
from tests.integration.things import ACTOR, list_acts, make_key

from tokensvc.core.backup import parse_first_line
from tokensvc.core.errors import ConflictError, InvalidInputError, StartRefusedError
from tokensvc.issuer.backup import make_backup
from tokensvc.issuer.restore import check_backup, restore_backup
from tokensvc.issuer.signing.emergency import revoke_signing_key_now
from tokensvc.store.audit_event import load_audit_head
from tokensvc.store.dump import find_programs
from tokensvc.store.pool import open_database


@pytest.fixture
def path(tmp_path):
    return tmp_path / "monday.backup"


@pytest.fixture
def restore(database_url, settings, path, databases):
    """Restores the backup into the place of the database; what that was before is dropped."""
    kept = []

    async def act():
        database = await open_database(database_url, max_size=2)
        try:
            restored = await restore_backup(database, settings, path, actor=ACTOR)
        finally:
            await database.close()
        kept.append(restored.former)
        return restored

    yield act
    for name in kept:
        databases.drop(urlsplit(database_url)._replace(path=f"/{name}").geturl())


async def list_databases(connection):
    rows = await connection.fetch("select datname from pg_database where datname like $1", "test%")
    return {row["datname"] for row in rows}


async def exchange_text(client, key):
    answer = await client.post("/v1/token", headers={"Authorization": f"Bearer {key.key.text}"})
    return answer.status


async def test_a_backup_is_a_new_private_file_that_tells_what_it_is_without_the_master_key(
    database, settings, started, path
):
    await make_key(database)
    facts = await make_backup(database, settings, path)
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open("rb") as file:
        assert parse_first_line(file.readline()) == facts
        assert file.read(5) == b"PGDMP"  # so an administrator can do without us
    async with database.connection() as connection:
        head = await load_audit_head(connection)
    assert (facts.audit_number, facts.audit_hash) == (head.number, head.hash.hex())
    content = path.read_bytes()
    assert started.master_key.secret not in content
    assert settings.master_key_path.read_bytes().strip() not in content
    with pytest.raises(InvalidInputError, match="exists already"):
        await make_backup(database, settings, path)
    assert path.read_bytes() == content


async def test_nothing_is_left_of_a_backup_that_fails_and_no_password_stood_in_an_argument(
    database, settings, started, path, tmp_path, database_url
):
    del started
    for program in ("pg_dump", "pg_restore"):
        script = tmp_path / program
        told = f'echo "$PGPASSWORD" > {tmp_path}/secret; echo "$@" > {tmp_path}/arguments'
        cases = f'case $1 in --version) echo "x 99";; *) {told}; exit 1; esac'
        script.write_text(f"#!/bin/sh\n{cases}\n")
        script.chmod(0o755)
    broken = settings.model_copy(update={"postgres_bin_dir": tmp_path})
    with pytest.raises(StartRefusedError, match="pg_dump failed"):
        await make_backup(database, broken, path)
    assert not path.exists()
    password = (tmp_path / "secret").read_text().strip()
    assert password == unquote(urlsplit(database_url).password)
    assert password not in (tmp_path / "arguments").read_text()


async def test_a_program_that_is_older_than_the_server_is_refused_in_one_line(tmp_path):
    for program in ("pg_dump", "pg_restore"):
        (tmp_path / program).write_text("#!/bin/sh\necho pg_dump 14.2\n")
        (tmp_path / program).chmod(0o755)
    with pytest.raises(StartRefusedError, match=r"version 15 or newer.*the newest one here is 14"):
        find_programs(tmp_path, 15)
    with pytest.raises(StartRefusedError, match="there is none here"):
        find_programs(tmp_path / "nowhere", 15)
    assert find_programs(tmp_path, 14).major == 14


async def test_f31_f43_what_was_revoked_since_a_backup_stays_revoked_when_it_is_restored(
    client, service, database, settings, path, restore
):
    good, revoked, disabled = [await make_key(database) for _ in range(3)]
    assert await exchange_text(client, revoked) == 200
    before = await make_backup(database, settings, path)
    later = await make_key(database)
    await endings.revoke_key(database, revoked.listed.record.id, actor=ACTOR)
    await endings.disable_key(database, disabled.listed.record.id, actor=ACTOR)
    await until(lambda: service.mirror.denylist.log.head.seq == 2)
    restored = await restore()
    assert restored.by_hand == []
    await until(lambda: service.check_ready()["ledger"] and service.check_ready()["database"])
    await until(lambda: exchange_text(client, good))
    async with asyncio.timeout(30):
        while await exchange_text(client, good) != 200:
            await asyncio.sleep(0.05)
    assert [await exchange_text(client, key) for key in (revoked, disabled, later)] == [401] * 3
    assert (await list_acts(database, "audit"))[-1] == "audit.reset"
    async with database.connection() as connection:
        head = await load_audit_head(connection)
        assert head.epoch != before.audit_epoch


async def test_f31_without_any_service_the_database_before_tells_what_was_revoked(
    database, settings, started, path, restore, connection
):
    revoked, forgotten, gone = [await make_key(database) for _ in range(3)]
    await make_backup(database, settings, path)
    await endings.revoke_key(database, revoked.listed.record.id, actor=ACTOR)
    await endings.revoke_key(database, forgotten.listed.record.id, actor=ACTOR)
    await endings.suspend_account(database, gone.listed.record.account_id, actor=ACTOR)
    kid = await connection.fetchval("select kid from signing_key order by active_at limit 1")
    await revoke_signing_key_now(database, settings, started.master_key, kid, actor=ACTOR)
    # As if their last token had expired long ago.
    ids = [forgotten.listed.record.id, gone.listed.record.account_id, kid]
    await connection.execute("delete from denylist where value = any ($1)", ids)
    restored = await restore()
    assert [(ended.act, ended.id) for ended in restored.by_hand] == [
        ("revoke", ids[0]), ("suspend", ids[1]), ("revoke", kid),
    ]  # fmt: skip
    states = await fetch(database, "select id, revoked_at is not null as ended from api_key")
    assert {row["id"] for row in states if row["ended"]} == {revoked.listed.record.id}


async def fetch(database, statement):
    async with database.connection() as connection:
        return await connection.fetch(statement)


async def test_the_rights_and_settings_of_the_database_are_those_that_it_had(
    database, settings, started, path, restore, connection, database_url
):
    del started
    name = urlsplit(database_url).path.strip("/")
    await make_backup(database, settings, path)
    for change in (
        f"alter database {name} set work_mem = '5MB'",
        f'alter database {name} set search_path = public, "$user"',
        f"revoke all on database {name} from public",
        f"alter database {name} connection limit 77",
        f"alter role current_user in database {name} set jit = off",
    ):
        await connection.execute(change)
    described = (
        "select datcollate, datctype, encoding, datconnlimit, datdba, datacl::text,"
        " (select array_agg((setrole, setconfig) order by setrole) from pg_db_role_setting"
        "  where setdatabase = pg_database.oid) as settings"
        " from pg_database where datname = current_database()"
    )
    (before,) = await fetch(database, described)
    assert (await restore()).left == []
    (after,) = await fetch(database, described)
    assert dict(after) == dict(before)


async def test_a_backup_that_cannot_be_used_changes_nothing(
    database, settings, started, path, restore, connection, subtests
):
    del started
    key = await make_key(database)
    await make_backup(database, settings, path)
    whole = path.read_bytes()
    there = await list_databases(connection)
    first = whole.index(b"\n") + 1
    damaged = {
        "no backup": b"hello",
        "a newer form": whole.replace(b'"tokensvc_backup": 1', b'"tokensvc_backup": 2', 1),
        "cut off": whole[: len(whole) * 2 // 3],
        "bytes changed": whole[:-3000] + b"x" * 500 + whole[-2500:],
        "another head": whole[:first].replace(b'"audit_hash": "', b'"audit_hash": "0')
        + whole[first:],
    }
    for what, content in damaged.items():
        with subtests.test(msg=what):
            path.write_bytes(content)
            with pytest.raises((InvalidInputError, StartRefusedError, ConflictError)):
                await restore()
            assert await list_databases(connection) == there
    with subtests.test(msg="another master key"):
        path.write_bytes(whole)
        settings.master_key_path.write_text("A" * 43 + "=\n")
        with pytest.raises(StartRefusedError, match="master key does not open"):
            await restore()
        assert await list_databases(connection) == there
    rows = await fetch(database, "select id from api_key")
    assert key.listed.record.id in {row["id"] for row in rows}


async def test_a_role_that_may_not_make_databases_is_told_how_it_may(
    database, settings, started, path, connection, database_url
):
    del started
    await make_backup(database, settings, path)
    parts = urlsplit(database_url)
    role = f"plain_{parts.path.strip('/')}"
    await connection.execute(f"create role {role} login password 'x' in role pg_read_all_data")
    netloc = f"{role}:x@{parts.netloc.rpartition('@')[2]}"
    other = await open_database(parts._replace(netloc=netloc).geturl(), max_size=2)
    try:
        with pytest.raises(ConflictError, match=r"alter role .* createdb"):
            await restore_backup(other, settings, path, actor=ACTOR)
        await connection.execute(f"alter role {role} createdb")
        with pytest.raises(ConflictError, match="does not own"):
            await restore_backup(other, settings, path, actor=ACTOR)
    finally:
        await other.close()
        await connection.execute(f"drop owned by {role}; drop role {role}")


async def test_a_check_restores_into_a_postgres_of_its_own_and_touches_nothing_else(
    database, settings, started, path, connection
):
    del started
    await make_backup(database, settings, path)
    there = await list_databases(connection)
    facts, has_key = await check_backup(settings, path)
    assert (facts.audit_number > 0, has_key) == (True, True)
    settings.master_key_path.unlink()
    shutil.copy(path, path.with_name("copy"))
    assert (await check_backup(settings, path.with_name("copy")))[1] is False
    assert await list_databases(connection) == there
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(StartRefusedError, match="pg_restore failed"):
        await check_backup(settings, path)
