"""What an operator sees when the service cannot start.

It is exit code 1 and one line that names the setting or the file.
"""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
from pathlib import Path

import pytest

from tests.processes import find_free_port, find_secrets, run_cli
from tokensvc.store.primary import connect


@pytest.fixture
def prepared(database_url, tmp_path):
    """The folder and environment of a service that has been started before."""
    environment = {"TOKENSVC_DATABASE_URL": database_url, "TOKENSVC_PORT": str(find_free_port())}
    made = run_cli("init", cwd=tmp_path, **environment)
    assert made.returncode == 0, made.stderr
    return tmp_path, environment


@pytest.fixture
def open_folder(session_folder):
    """A folder that the user of Postgres may enter."""
    folder = Path(tempfile.mkdtemp(dir=session_folder))
    folder.chmod(0o755)
    return folder


def refuse(folder, environment, *named, command="serve"):
    """Try to serve, or another command; return the one line that says why not."""
    refused = run_cli(command, cwd=folder, **environment)
    lines = [line for line in refused.stderr.splitlines() if '"level": "warning"' not in line]
    assert (refused.returncode, len(lines)) == (1, 1), refused.stderr
    assert lines[0].startswith("tokensvc: ")
    for name in named:
        assert name in lines[0]
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""
    assert find_secrets(refused.stderr.replace("user:password@host", "")) == []
    return refused


def test_the_port_is_taken(prepared):
    folder, environment = prepared
    with socket.create_server(("127.0.0.1", int(environment["TOKENSVC_PORT"]))):
        refuse(folder, environment, "TOKENSVC_PORT", environment["TOKENSVC_PORT"])


def test_a_second_service_in_the_same_folder_finds_the_port_taken_and_disturbs_nobody(new_process):
    process = new_process()
    process.wait_until_ready()
    refuse(process.folder, {"TOKENSVC_PORT": str(process.port)}, "TOKENSVC_PORT")
    assert process.cli("account", "list").returncode == 0
    process.wait_until_ready(1)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:geheim@127.0.0.1:{port}/db",
        "postgresql://me:geheim@127.0.0.1:{port},127.0.0.1:{port}/db",
    ],
)
def test_the_database_is_away(tmp_path, url):
    environment = {
        "TOKENSVC_DATABASE_URL": url.format(port=find_free_port()),
        "TOKENSVC_DATABASE_WAIT": "2",
    }
    environment["TOKENSVC_PORT"] = str(find_free_port())
    refused = refuse(tmp_path, environment, "TOKENSVC_DATABASE_URL", "TOKENSVC_DATABASE_WAIT")
    waiting = [json.loads(line) for line in refused.stderr.splitlines()[:-1]]
    assert {line["event"] for line in waiting} == {"waiting_for_database"}
    assert len(waiting) >= 2
    assert "geheim" not in refused.stderr


def test_the_database_refuses_the_password(prepared):
    folder, environment = prepared
    url = environment["TOKENSVC_DATABASE_URL"]
    password = url.split(":")[2].split("@")[0]
    environment = environment | {
        "TOKENSVC_DATABASE_URL": url.replace(password, "geheim"),
        "TOKENSVC_DATABASE_WAIT": "2",
    }
    refused = refuse(folder, environment, "TOKENSVC_DATABASE_URL")
    assert "geheim" not in refused.stderr


def test_the_database_does_not_exist(prepared):
    folder, environment = prepared
    url = environment["TOKENSVC_DATABASE_URL"].replace("/test_", "/no_such_")
    refuse(
        folder,
        environment | {"TOKENSVC_DATABASE_URL": url, "TOKENSVC_DATABASE_WAIT": "2"},
        "TOKENSVC_DATABASE_URL",
    )


def test_the_master_key_is_missing(prepared):
    folder, environment = prepared
    (folder / "keys" / "master.key").unlink()
    refuse(folder, environment, "keys/master.key", "TOKENSVC_MASTER_KEY_FILE", "backup")
    assert not (folder / "keys" / "master.key").exists()


def test_the_master_key_is_of_another_service(prepared):
    folder, environment = prepared
    (folder / "other").mkdir()
    (folder / "keys" / "master.key").write_text("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
    refuse(folder, environment, "master key")


def test_the_master_key_is_no_key(prepared):
    folder, environment = prepared
    (folder / "keys" / "master.key").write_text("abc\n")
    refuse(folder, environment, "keys/master.key", "32 bytes")


def test_the_master_key_is_readable_by_others(prepared):
    folder, environment = prepared
    (folder / "keys" / "master.key").chmod(0o644)
    refuse(folder, environment, "chmod 600", "keys/master.key")


def test_the_master_key_file_of_the_settings_does_not_exist(tmp_path, database_url):
    environment = {"TOKENSVC_DATABASE_URL": database_url, "TOKENSVC_MASTER_KEY_FILE": "nowhere.key"}
    lines = run_cli("serve", cwd=tmp_path, TOKENSVC_PORT=str(find_free_port()), **environment)
    assert lines.returncode == 1
    assert "nowhere.key" in lines.stderr.splitlines()[-1]
    assert "TOKENSVC_MASTER_KEY_FILE" in lines.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", ["serve", "init", "migrate"])
def test_the_database_was_made_before_the_first_release(prepared, command):
    folder, environment = prepared
    asyncio.run(edit_a_checksum(environment["TOKENSVC_DATABASE_URL"]))
    ways_out = ".tokensvc/", "TOKENSVC_DATA_DIR", "TOKENSVC_DATABASE_URL"
    refuse(folder, environment, "trial version", "anew", *ways_out, command=command)


async def edit_a_checksum(url):
    connection = await connect(url)
    await connection.execute("update schema_migrations set checksum = 'x'")
    await connection.close()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"TOKENSVC_TOKEN_TTL": "7200"}, ("TOKENSVC_TOKEN_TTL", "TOKENSVC_MAX_TOKEN_TTL")),
        (
            {"TOKENSVC_ROTATION_PERIOD": "100"},
            ("TOKENSVC_ROTATION_PERIOD", "TOKENSVC_JWKS_MAX_AGE"),
        ),
        ({"TOKENSVC_PORT": "eighty"}, ("TOKENSVC_PORT",)),
        (
            {"TOKENSVC_PORT": "eighty", "TOKENSVC_POOL_SIZE": "0"},
            ("TOKENSVC_PORT", "TOKENSVC_POOL_SIZE"),
        ),
        ({"TOKENSVC_ISSUER": "auth.example.com"}, ("TOKENSVC_ISSUER",)),
        ({"TOKENSVC_KEY_PREFIX": "much too long"}, ("TOKENSVC_KEY_PREFIX",)),
        ({"TOKENSVC_LOG_LEVEL": "loud"}, ("TOKENSVC_LOG_LEVEL",)),
        ({"TOKENSVC_DATABASE_URL": "mysql://me:geheim@db/x"}, ("TOKENSVC_DATABASE_URL",)),
        (
            {"TOKENSVC_DATABASE_URL": "postgresql://a/b", "TOKENSVC_DATABASE_URL_FILE": "url"},
            ("TOKENSVC_DATABASE_URL_FILE",),
        ),
        ({"TOKENSVC_DATABASE_URL_FILE": "nowhere"}, ("TOKENSVC_DATABASE_URL_FILE", "nowhere")),
        ({"TOKENSVC_HOST": "no such host"}, ("TOKENSVC_HOST",)),
        ({"TOKENSVC_POSTGRES_BIN_DIR": "nowhere"}, ("TOKENSVC_POSTGRES_BIN_DIR",)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_settings_contradict_each_other_or_make_no_sense(open_folder, settings, named):
    refused = refuse(open_folder, {"TOKENSVC_PORT": str(find_free_port())} | settings, *named)
    assert "geheim" not in refused.stderr
