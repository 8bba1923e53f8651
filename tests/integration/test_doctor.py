"""The doctor finds each fault that is planted in a real database, and nothing in a healthy one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from testbed.pooler import can_pool, keeps_prepared_statements, running_pooler

from tokensvc.core.sealing import new_master_key
from tokensvc.core.service_identity import Identity
from tokensvc.issuer.doctor import examine_service
from tokensvc.issuer.postgres_clock import PostgresClock
from tokensvc.store.keyfile import write_master_key
from tokensvc.store.pool import open_database
from tokensvc.store.service_identity import replace_identity

ISSUER = "https://tokens.example"
OLDEST_KEY = "(select min(kid) from signing_key)"


@pytest.fixture
async def role(database_url, connection, started):
    """The URL of a role that may do what the service must, and no more."""
    del started
    parts = urlsplit(database_url)
    name = f"service_of_{parts.path.strip('/')}"
    await connection.execute(f"create role {name} login password 'x'")
    await connection.execute("select grant_service_rights($1)", name)
    yield parts._replace(netloc=f"{name}:x@{parts.netloc.rpartition('@')[2]}").geturl()
    await connection.execute(f"drop owned by {name}")
    await connection.execute(f"drop role {name}")


@pytest.fixture
def look(role, settings):
    """Returns what is amiss, by check; `settings` may be changed, and the clock of the machine."""

    async def look(*, url=role, clock=time.time, **changes):
        database = await open_database(url, max_size=3, direct_url=changes.pop("direct_url", None))
        ours = {"database_url": SecretStr(url), "issuer": ISSUER}
        changed = settings.model_copy(update=ours | changes)
        examined = await examine_service(database, changed, PostgresClock(wall=clock))
        await database.close()
        return {one.check: one for one in examined.findings if one.state != "ok"}

    return look


async def test_nothing_is_amiss_with_a_healthy_service(look):
    assert await look() == {}


PLANTED = [
    ("postgres", "alter role {role} set default_transaction_read_only = on", "is read only"),
    ("postgres", "alter role {role} set search_path = pg_catalog", "set search_path = public"),
    ("role", "revoke select on account from {role}", "may not use account"),
    ("role", "revoke delete on denylist from {role}", "grant_service_rights('{role}')"),
    ("role", "revoke execute on function append_audit_events from {role}, public", "append_audit"),
    ("role", "grant update on audit_event to {role}", "may change the audit trail"),
    ("migrations", "delete from schema_migrations where version = '0013'", "tokensvc migrate"),
    ("migrations", "update schema_migrations set checksum = 'x' where version = '0013'", "edited"),
    (
        "master key",
        f"update signing_key set alg = 'EdDSA' where kid = {OLDEST_KEY}",
        "tokensvc signing-key revoke",
    ),
    ("issuer", "update service_identity set issuer = 'https://other.example'", "TOKENSVC_ISSUER"),
]


@pytest.mark.parametrize(("check", "fault", "said"), PLANTED)
async def test_a_fault_that_is_planted_in_the_database_is_found(
    look, connection, role, check, fault, said
):
    name = urlsplit(role).username
    await replace_identity(connection, Identity(ISSUER, "tsk-"))
    await connection.execute(fault.format(role=name))
    amiss = await look()
    found = amiss.pop(check)
    assert found.state == "fault"
    assert said.format(role=name) in " ".join(found)
    assert {one.state for one in amiss.values()} <= {"unknown"}


async def test_a_slot_that_nobody_reads_is_found(look, connection):
    await connection.execute("select pg_create_physical_replication_slot('forgotten', true)")
    try:
        amiss = await look()
    finally:
        await connection.execute("select pg_drop_replication_slot('forgotten')")
    assert list(amiss) == ["replication slots"]
    assert "pg_drop_replication_slot('forgotten')" in amiss["replication slots"].way_out


async def test_a_secret_of_a_receiver_that_does_not_open_is_found(look, connection):
    await connection.execute(
        "insert into notice_endpoint (id, url, events, description, sealed_secret, created_at)"
        " values ('hook_0123456789abcdef', 'https://hooks.example', '{}', '', '\\x00', now())"
    )
    amiss = await look()
    assert list(amiss) == ["master key"]
    assert "notice endpoint hook_0123456789abcdef" in amiss["master key"].what


@pytest.mark.parametrize("fault", ["another one", "none", "readable"])
async def test_a_fault_of_the_file_of_the_master_key_is_found(look, settings, fault):
    path = settings.master_key_path
    if fault == "another one":
        write_master_key(path, new_master_key(), replace=True)
    elif fault == "none":
        path.unlink()
    else:
        path.chmod(0o644)
    amiss = await look()
    assert list(amiss) == ["master key"]
    said = {"another one": "opens nothing", "none": "is missing", "readable": "mode 0644"}
    assert said[fault] in amiss["master key"].what


async def test_a_clock_that_is_wrong_is_found(look):
    amiss = await look(clock=lambda: time.time() + 60)
    assert list(amiss) == ["clock"]
    assert "behind" in amiss["clock"].what
    assert (await look(clock=lambda: time.time() - 3))["clock"].state == "note"


async def test_a_database_that_is_away_or_refuses_is_found(look, role, unused_tcp_port):
    away = await look(url=f"postgresql://u:p@127.0.0.1:{unused_tcp_port}/x")
    assert [check for check, one in away.items() if one.state == "fault"] == ["postgres"]
    refused = await look(url=role.replace(":x@", ":wrong@", 1).replace("/test_", "/no_test_"))
    assert "TOKENSVC_DATABASE_URL" in refused["postgres"].what


async def test_an_empty_database_lacks_all_migrations(look, new_database_url):
    empty = await asyncio.to_thread(new_database_url, "empty")
    amiss = await look(url=empty)
    assert "tokensvc migrate" in amiss["migrations"].way_out
    assert amiss["master key"].state == "unknown"


@pytest.mark.skipif(os.geteuid() != 0, reason="NO FULL DISK WAS LOOKED AT: it takes root to mount")
async def test_a_disk_that_is_full_is_found(look, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("NO FULL DISK WAS LOOKED AT: nothing can be mounted here")
    try:
        (folder / "fill").write_bytes(bytes(1_020_000))
        amiss = await look(data_dir=folder)
    finally:
        subprocess.run(["umount", folder], check=True)
    assert list(amiss) == ["disk"]
    assert str(folder) in amiss["disk"].way_out


async def test_an_issuer_that_is_no_address_is_found(look):
    amiss = await look(issuer="", host="0.0.0.0")
    assert amiss["settings"].state == "fault"


@pytest.mark.skipif(not can_pool(), reason="NO POOLER WAS LOOKED AT: there is no PgBouncer")
async def test_a_pooler_is_told_from_one_that_forgets(look, database_url, session_folder):
    folder = Path(tempfile.mkdtemp(dir=session_folder))
    async with running_pooler(database_url, folder) as url:
        amiss = await look(url=url)
        alone = await look(direct_url=url, direct_database_url=SecretStr(url))
    if keeps_prepared_statements():
        assert amiss["pooler"].state == "note"
        assert "TOKENSVC_DIRECT_DATABASE_URL leads through a pooler" in alone["pooler"].what
    else:
        assert "PgBouncer 1.21" in amiss["pooler"].way_out
