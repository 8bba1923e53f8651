"""`serve`, `init` and `migrate`, and the start of any command on a database that is not ready."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest
from testbed.leaks import find_secrets

from tokensvc.cli.first_admin import name_program
from tokensvc.cli.folder import find_service_folder, load_command_settings


def test_init_shows_the_admin_key_once_and_can_be_repeated(cli, tmp_path):
    first = cli.json("init")
    assert first["status"] == "ready"
    assert find_secrets(first["key"]) == [first["key"]]
    assert cli.json("init") == {"status": "ready"}
    assert cli("init").stdout.split() == ["status", "ready"]
    assert (tmp_path / "keys" / "master.key").is_file()


def test_the_first_start_names_the_program_so_that_a_shell_finds_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for called, named in (
        (".venv/bin/tokensvc", ".venv/bin/tokensvc"),
        ("/x/tokensvc/__main__.py", "tokensvc"),
    ):
        monkeypatch.setattr("sys.argv", [called])
        assert name_program() == named
    (tmp_path / "tokensvc").touch(mode=0o700)
    monkeypatch.setattr("sys.argv", [".venv/bin/tokensvc"])
    assert name_program() == "tokensvc"


def test_migrate_says_what_it_has_applied(cli, new_database_url):
    url = new_database_url("empty")
    refused = cli("account list", TOKENSVC_DATABASE_URL=url, code=1)
    assert "the database lacks" in refused.stderr
    assert "run: tokensvc init" in refused.stderr
    assert cli.json("migrate", TOKENSVC_DATABASE_URL=url)["applied"][0].startswith("0001_")
    assert cli.json("migrate", TOKENSVC_DATABASE_URL=url) == {"applied": []}
    assert cli("migrate", TOKENSVC_DATABASE_URL=url).stdout.split() == ["applied"]


def test_without_a_database_url_a_command_uses_the_embedded_postgres(cli, session_folder):
    folder = str(session_folder / "embedded")
    environment = {"TOKENSVC_DATABASE_URL": None, "TOKENSVC_DATA_DIR": folder}
    assert cli.json("init", **environment)["status"] == "ready"
    assert [row["name"] for row in cli.json("account list", **environment)] == ["admin"]


def test_a_data_folder_that_cannot_be_made_is_told_in_one_line(cli, tmp_path):
    (tmp_path / "file").write_text("")
    environment = {"TOKENSVC_DATABASE_URL": None, "TOKENSVC_DATA_DIR": str(tmp_path / "file")}
    result = cli("init", **environment, code=1)
    assert str(tmp_path / "file") in result.stderr


def test_only_a_service_and_init_make_a_database(cli, tmp_path):
    for command in ("key list", "account create x", "migrate", "audit verify"):
        refused = cli(command, TOKENSVC_DATABASE_URL=None, code=1)
        assert refused.stderr.startswith("tokensvc: there is no service here: ")
        for way_out in ("--url, TOKENSVC_URL, --profile", "its folder", "tokensvc init"):
            assert way_out in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_command_finds_the_service_whose_folder_it_is_in(tmp_path, monkeypatch):
    inner = tmp_path / "one" / "two"
    inner.mkdir(parents=True)
    (tmp_path / ".tokensvc").mkdir()
    monkeypatch.chdir(inner)
    assert load_command_settings().data_dir == Path(".tokensvc")
    (tmp_path / ".tokensvc" / "postgres-password").touch()
    found = load_command_settings()
    assert (found.data_dir, found.keys_dir) == (tmp_path / ".tokensvc", tmp_path / "keys")
    monkeypatch.setenv("TOKENSVC_KEYS_DIR", "mine")
    assert load_command_settings().keys_dir == Path("mine")
    monkeypatch.setenv("TOKENSVC_DATA_DIR", "other")
    assert load_command_settings().data_dir == Path("other")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_the_data_of_another_user_is_no_service_of_ours(tmp_path):
    password = tmp_path / "data" / "postgres-password"
    password.parent.mkdir()
    password.touch()
    assert find_service_folder([tmp_path], Path("data")) == tmp_path
    os.chown(password, 4_000_000, 4_000_000)
    assert find_service_folder([tmp_path], Path("data")) is None


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_greets_serves_and_drains(workers, cli, new_process, new_database_url, tmp_path):
    cli("init")
    is_first_start = workers == "1"
    url = new_database_url("empty") if is_first_start else os.environ["TOKENSVC_DATABASE_URL"]
    process = new_process(
        *("--workers", workers),
        TOKENSVC_DATABASE_URL=url,
        TOKENSVC_KEYS_DIR=str(tmp_path / ("fresh" if is_first_start else "keys")),
        TOKENSVC_DRAIN_SECONDS="1",
    )
    process.wait_until_ready()
    assert f"serves {process.url}" in process.output
    assert ("This is the first start" in process.output) == is_first_start
    if is_first_start:
        asked = "token get --audience tokensvc --scope tokensvc:admin --issuer"
        got = cli(asked, process.url, TOKENSVC_API_KEY=process.admin_key)
        assert find_secrets(got.stdout) == [got.stdout.strip()]
    process.send(signal.SIGTERM)
    assert process.wait() == 0


def test_a_port_that_is_taken_refuses_the_start_before_anything_is_done(cli, new_database_url):
    url = new_database_url("empty")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = cli("serve", TOKENSVC_PORT=port, TOKENSVC_DATABASE_URL=url, code=1)
    assert f"cannot listen on 127.0.0.1:{port}: " in result.stderr
    assert "set TOKENSVC_HOST and TOKENSVC_PORT" in result.stderr
    assert "lacks" in cli("account list", TOKENSVC_DATABASE_URL=url, code=1).stderr
