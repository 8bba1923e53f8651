"""The zero-setup Postgres."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.factories import make_settings
from tests.integration.clusters import FAST, ask, is_running

from tokensvc.core.errors import StartRefusedError
from tokensvc.issuer.database import embedded_postgres
from tokensvc.issuer.start import initialise
from tokensvc.store.embedded import EmbeddedPostgres
from tokensvc.store.pool import open_database
from tokensvc.store.postgres_binaries import (
    list_debian_binaries,
    list_wheel_binaries,
)
from tokensvc.store.primary import connect


def _folders_of(name):
    found = list_debian_binaries() if name == "debian" else list_wheel_binaries()
    return [folder for folder in found if (folder / "initdb").is_file()]


async def test_no_other_user_can_read_or_lock_what_belongs_to_the_service(new_folder):
    folder = new_folder() / "data"
    server = EmbeddedPostgres(folder, options=FAST)
    server.start()
    (folder / "postgres-start.lock").chmod(0o644)
    server.stop()
    files = [path for path in folder.iterdir() if path.is_file()]
    assert {path.name for path in files} == {
        "postgres.log",
        "postgres-password",
        "postgres-start.lock",
        "postgres-users.lock",
    }
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    # Postgres, as a user of its own, must pass through if we are root.
    assert folder.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_lock_that_belongs_to_another_user_is_refused(new_folder):
    folder = new_folder()
    lock = folder / "postgres-start.lock"
    lock.touch()
    os.chown(lock, 65534, 65534)
    with pytest.raises(StartRefusedError, match=r"belongs to another user.*chown 0 "):
        EmbeddedPostgres(folder, options=FAST).start()


async def test_f36_commands_get_a_connection_however_many_the_service_has_opened(new_folder):
    settings = make_settings(data_dir=new_folder(), pool_size=30)
    server = embedded_postgres(settings, workers=3)
    url = server.start()
    try:
        every = [await connect(url) for _ in range(3 * (settings.pool_size + 6))]
        assert await ask(url) == 42
        for connection in every:
            await connection.close()
    finally:
        server.stop()


@pytest.mark.parametrize("binaries", ["debian", "wheel"])
async def test_a_cluster_is_made_started_and_stopped(binaries, new_folder):
    found = _folders_of(binaries)
    if not found:
        pytest.skip(f"no Postgres of {binaries} on this machine")
    folder = new_folder()
    server = EmbeddedPostgres(folder, bin_dir=found[0], options=FAST)
    url = server.start()
    assert await ask(url) == 42
    assert await ask(url, "show listen_addresses") == ""
    assert (
        await ask(
            url, "select count(*) from pg_hba_file_rules where auth_method <> 'scram-sha-256'"
        )
        == 0
    )
    database = await open_database(url, max_size=2)
    assert (await initialise(database, make_settings(keys_dir=folder / "keys"))).admin
    await database.close()
    home = folder / "postgres"
    assert home.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)
    assert home.stat().st_uid == os.geteuid(), (
        "whoever runs Postgres must not be able to put links here"
    )
    assert (folder / "postgres-password").stat().st_mode & 0o777 == 0o600
    assert not (home / "password.new").exists()
    if os.geteuid() == 0:
        assert (home / "data").stat().st_uid != 0
    process_id = server.process_id
    assert is_running(process_id)
    server.stop()
    assert server.process_id is None
    assert not is_running(process_id)
    server.stop()  # again: nothing happens
    again = EmbeddedPostgres(folder, options=FAST)
    assert again.start() == url
    assert await ask(url) == 42
    again.stop()


async def test_who_comes_second_joins_and_the_last_one_out_stops_it(new_folder):
    folder, elsewhere = new_folder(), new_folder()
    one, two, other = (EmbeddedPostgres(path, options=FAST) for path in (folder, folder, elsewhere))
    url = one.start()
    assert two.start() == url
    assert other.start() != url
    assert one.process_id == two.process_id != other.process_id
    one.stop()
    assert await ask(url) == 42
    two.stop()
    assert two.process_id is None
    assert "database system is shut down" in (folder / "postgres.log").read_text()
    assert other.process_id is not None, "a second service in another folder is never disturbed"
    other.stop()


def test_a_process_id_that_was_given_to_somebody_else_is_not_taken_for_the_server(tmp_path):
    server = EmbeddedPostgres(tmp_path)
    data = tmp_path / "postgres" / "data"
    assert server.process_id is None
    data.mkdir(parents=True)
    for text in ("", "junk\n", f"{os.getpid()}\n", "999999999\n"):
        (data / "postmaster.pid").write_text(text)
        assert server.process_id is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must run Postgres as somebody else")
async def test_below_a_folder_that_nobody_may_enter_the_cluster_lives_elsewhere(new_folder):
    elsewhere, folder = new_folder(), new_folder()
    (folder / "home").mkdir(mode=0o700)
    project = folder / "home" / "project"
    server = EmbeddedPostgres(project, options=FAST, elsewhere=elsewhere)
    url = server.start()
    assert await ask(url) == 42
    home = Path((project / "postgres-elsewhere").read_text().strip())
    assert home.parent == elsewhere
    server.stop()
    again = EmbeddedPostgres(project, options=FAST, elsewhere=elsewhere)
    assert again.start() == url
    again.stop()
    assert len(list(elsewhere.iterdir())) == 1


def test_a_path_too_long_for_a_socket_is_refused_for_an_ordinary_user(tmp_path, monkeypatch):
    deep = tmp_path / ("x" * 100)
    server = EmbeddedPostgres(deep)
    if os.geteuid() == 0:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(
        StartRefusedError,
        match="too long for a Postgres socket; set TOKENSVC_DATA_DIR to a shorter one",
    ):
        server.start()


def test_options_that_postgres_refuses_are_a_clear_refusal_that_names_the_log(new_folder):
    folder = new_folder()
    server = EmbeddedPostgres(folder, options=("no_such_option=1",))
    with pytest.raises(StartRefusedError, match=r"Postgres did not start; see .*postgres.log"):
        server.start()
    assert "no_such_option" in (folder / "postgres.log").read_text()
    assert server.process_id is None


def test_an_initdb_that_fails_says_why(new_folder):
    folder = new_folder()
    programs = folder / "programs"
    programs.mkdir()
    for program, script in (
        ("postgres", "echo postgres 17.1"),
        ("initdb", "echo no room >&2; exit 1"),
    ):
        (programs / program).write_text(f"#!/bin/sh\n{script}\n")
        (programs / program).chmod(0o755)
    with pytest.raises(StartRefusedError, match="initdb failed: no room"):
        EmbeddedPostgres(folder / "data", bin_dir=programs).start()
    assert not (folder / "data" / "postgres" / "password.new").exists()


def test_root_never_follows_a_link_that_postgres_could_have_put_there(tmp_path, new_folder):
    folder = new_folder()
    victim = tmp_path / "victim"
    victim.mkdir()
    server = EmbeddedPostgres(folder)
    server.start()
    server.stop()
    before = victim.stat()
    (folder / "postgres" / "socket").rmdir()
    (folder / "postgres" / "socket").symlink_to(victim)
    with pytest.raises(StartRefusedError, match="is a link"):
        EmbeddedPostgres(folder).start()
    assert (victim.stat().st_uid, victim.stat().st_mode) == (before.st_uid, before.st_mode)
