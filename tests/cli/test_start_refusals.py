"""What an operator sees when the service cannot start: exit code 1, and one line that says why.

The line names the setting or the file, and the way out.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket

import pytest
from testbed.leaks import find_secrets
from testbed.ports import find_free_port

from tokensvc.store.primary import connect


@pytest.fixture
def refuse(cli):
    """Try to serve, or another command; return the result, whose last line says why not."""

    def serve(*named, command="serve", **environment):
        ports = {"TOKENSVC_PORT": find_free_port(), "TOKENSVC_METRICS_PORT": find_free_port()}
        settings = {name: str(port) for name, port in ports.items()} | environment
        refused = cli(command, code=1, **settings)
        for port in ports.values():
            socket.create_server(("127.0.0.1", port)).close()  # both were given back
        lines = [line for line in refused.stderr.splitlines() if '"level": "warning"' not in line]
        assert len(lines) == 1, refused.stderr
        assert lines[0].startswith("tokensvc: ")
        for name in named:
            assert name in lines[0]
        assert refused.stdout == ""
        assert find_secrets(refused.stderr) == []
        return refused

    return serve


@pytest.fixture
def refuse_again(ready, refuse):
    """As `refuse`, for a service that has been started before."""
    del ready
    return refuse


@pytest.mark.parametrize("setting", ["TOKENSVC_PORT", "TOKENSVC_METRICS_PORT"])
def test_the_port_is_taken(refuse_again, setting):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refuse_again(setting, port, **{setting: port})


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:geheim@127.0.0.1:{port}/db",
        "postgresql://me:geheim@127.0.0.1:{port},127.0.0.1:{port}/db",
    ],
)
def test_the_database_is_away(refuse, url):
    refused = refuse(
        "TOKENSVC_DATABASE_URL",
        "TOKENSVC_DATABASE_WAIT",
        TOKENSVC_DATABASE_URL=url.format(port=find_free_port()),
        TOKENSVC_DATABASE_WAIT="1",
    )
    waiting = [json.loads(line) for line in refused.stderr.splitlines()[:-1]]
    assert {line["event"] for line in waiting} == {"waiting_for_database"}
    assert "geheim" not in refused.stderr


def test_the_database_refuses_the_password(refuse_again):
    url = os.environ["TOKENSVC_DATABASE_URL"]
    password = url.split(":")[2].split("@")[0]
    bad = url.replace(password, "geheim")
    refused = refuse_again(
        "TOKENSVC_DATABASE_URL", TOKENSVC_DATABASE_URL=bad, TOKENSVC_DATABASE_WAIT="0"
    )
    assert "geheim" not in refused.stderr


def test_the_database_does_not_exist(refuse_again):
    bad = os.environ["TOKENSVC_DATABASE_URL"].replace("/test_", "/no_such_")
    refuse_again("TOKENSVC_DATABASE_URL", TOKENSVC_DATABASE_URL=bad, TOKENSVC_DATABASE_WAIT="0")


def test_f17_the_master_key_is_missing(refuse_again, tmp_path):
    (tmp_path / "keys" / "master.key").unlink()
    refuse_again("keys/master.key", "TOKENSVC_MASTER_KEY_FILE", "backup")
    assert not (tmp_path / "keys" / "master.key").exists()


def test_f17_t24_the_master_key_is_of_another_service(refuse_again, tmp_path):
    other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
    (tmp_path / "keys" / "master.key").write_text(other)
    refuse_again("master key")


def test_the_master_key_is_no_key(refuse_again, tmp_path):
    (tmp_path / "keys" / "master.key").write_text("abc\n")
    refuse_again("keys/master.key", "32 bytes")


def test_the_master_key_is_readable_by_others(refuse_again, tmp_path):
    (tmp_path / "keys" / "master.key").chmod(0o644)
    refuse_again("chmod 600", "keys/master.key")


def test_the_master_key_file_of_the_settings_does_not_exist(cli):
    refused = cli("serve", code=1, TOKENSVC_MASTER_KEY_FILE="nowhere.key")
    assert "nowhere.key" in refused.stderr.splitlines()[-1]
    assert "TOKENSVC_MASTER_KEY_FILE" in refused.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", ["serve", "init", "migrate"])
def test_the_database_was_made_before_the_first_release(refuse_again, command):
    asyncio.run(edit_a_checksum(os.environ["TOKENSVC_DATABASE_URL"]))
    ways_out = ".tokensvc/", "TOKENSVC_DATA_DIR", "TOKENSVC_DATABASE_URL"
    refuse_again("trial version", "anew", *ways_out, command=command)


async def edit_a_checksum(url):
    connection = await connect(url)
    await connection.execute("update schema_migrations set checksum = 'x'")
    await connection.close()


def test_settings_contradict_each_other_or_make_no_sense(refuse, subtests):
    for settings, named in (
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
    ):
        with subtests.test(msg=str(settings)):
            refused = refuse(*named, **{"TOKENSVC_DATABASE_URL": None} | settings)
            assert "geheim" not in refused.stderr
