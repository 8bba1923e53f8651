from __future__ import annotations

import os
import signal
import socket

import pytest
from testbed.leaks import find_secrets
from tests.factories import make_settings

from tokensvc.core.errors import StartRefusedError
from tokensvc.settings import load_settings

BAD = {
    "TOKENSVC_PORT": ["x", "-1", "65536", "80.5"],
    "TOKENSVC_ISSUER": ["issuer.example", "ftp://x", "https://", "https://x?q=1", "https://x#f"],
    "TOKENSVC_TOKEN_TTL": ["0", "3601", "ten"],
    "TOKENSVC_MAX_TOKEN_TTL": ["5", "599"],
    "TOKENSVC_KEY_PREFIX": ["tsk", "toolong8-", "ts_k-", "-"],
    "TOKENSVC_ROTATION_PERIOD": ["59", "690"],
    "TOKENSVC_JWKS_MAX_AGE": ["-1"],
    "TOKENSVC_FEED_MAX_WAIT": ["0", "31"],
    "TOKENSVC_FEED_PAGE_TTL": ["4", "15"],
    "TOKENSVC_POOL_SIZE": ["1", "201"],
    "TOKENSVC_LOG_LEVEL": ["loud", "INFO"],
    "TOKENSVC_DEFAULT_AUDIENCE": ["x" * 256],
    "TOKENSVC_DATABASE_WAIT": ["-1"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD.items() for value in values]
)
def test_a_setting_that_will_not_do_is_named(name, value):
    with pytest.raises(StartRefusedError) as caught:
        load_settings({name: value})
    assert name in caught.value.message
    assert "pydantic" not in caught.value.message


def test_several_bad_settings_are_named_at_once():
    with pytest.raises(StartRefusedError, match=r"TOKENSVC_PORT: .*; TOKENSVC_LOG_LEVEL: "):
        load_settings({"TOKENSVC_PORT": "x", "TOKENSVC_LOG_LEVEL": "loud"})


def test_settings_that_contradict_each_other_are_all_named():
    with pytest.raises(
        StartRefusedError,
        match=r"TOKENSVC_TOKEN_TTL \(700\) must not exceed TOKENSVC_MAX_TOKEN_TTL \(650\)",
    ):
        load_settings({"TOKENSVC_TOKEN_TTL": "700", "TOKENSVC_MAX_TOKEN_TTL": "650"})
    with pytest.raises(
        StartRefusedError,
        match=r"TOKENSVC_JWKS_MAX_AGE \+ TOKENSVC_VERIFIER_CACHE \+ TOKENSVC_ROTATION_MARGIN = 690",
    ):
        load_settings({"TOKENSVC_ROTATION_PERIOD": "690"})
    with pytest.raises(
        StartRefusedError, match="TOKENSVC_FEED_PAGE_TTL must exceed half of TOKENSVC_FEED_MAX_WAIT"
    ):
        load_settings({"TOKENSVC_FEED_PAGE_TTL": "15"})


def test_the_database_url_may_lie_in_a_file_and_shows_nowhere(tmp_path):
    path = tmp_path / "url"
    path.write_text("postgresql://user:secret@host/db\n")
    settings = load_settings({"TOKENSVC_DATABASE_URL_FILE": str(path)})
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://user:secret@host/db"
    assert "secret" not in repr(settings)
    with pytest.raises(
        StartRefusedError,
        match="TOKENSVC_DATABASE_URL and TOKENSVC_DATABASE_URL_FILE contradict each other",
    ):
        load_settings(
            {
                "TOKENSVC_DATABASE_URL_FILE": str(path),
                "TOKENSVC_DATABASE_URL": "postgresql://other/db",
            }
        )
    path.write_bytes(b"\xff\xfe")
    for bad in (path, tmp_path / "missing", tmp_path):
        with pytest.raises(StartRefusedError, match="TOKENSVC_DATABASE_URL_FILE: cannot read"):
            load_settings({"TOKENSVC_DATABASE_URL_FILE": str(bad)})


def test_the_issuer_is_the_address_unless_it_is_set():
    assert make_settings().issuer_url == "http://127.0.0.1:8080"
    assert make_settings(host="::1", port=9000).issuer_url == "http://[::1]:9000"
    assert (
        make_settings(issuer="https://issuer.example/auth/").issuer_url
        == "https://issuer.example/auth"
    )
    assert [
        make_settings(host=host).is_loopback
        for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0")
    ] == [True] * 3 + [False]
    assert str(make_settings(keys_dir="/k").master_key_path) == "/k/master.key"
    assert str(make_settings(keys_dir="/k", master_key_file="/m").master_key_path) == "/m"


def test_an_empty_variable_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("TOKENSVC_PORT", "")
    monkeypatch.setenv("TOKENSVC_TOKEN_TTL", "60")
    settings = load_settings()
    assert (settings.port, settings.token_ttl) == (8080, 60)


def test_settings_that_are_handed_over_are_all_there_is(monkeypatch):
    monkeypatch.setenv("TOKENSVC_PORT", "9000")
    assert load_settings({}).port == 8080


def test_a_command_with_a_bad_setting_names_it_and_shows_no_secret(cli):
    result = cli(
        "account",
        "list",
        TOKENSVC_PORT="x",
        TOKENSVC_DATABASE_URL="postgresql://u:secret@h/d",
        code=1,
    )
    assert result.stderr.startswith("tokensvc: TOKENSVC_PORT: ")
    assert "secret" not in result.output
    result = cli("account", "list", TOKENSVC_DATABASE_URL="mysql://u:secret@h/d", code=1)
    assert (
        result.stderr
        == "tokensvc: TOKENSVC_DATABASE_URL must look like postgresql://user:password@host:5432/database\n"
    )


def test_a_database_that_is_away_is_exit_code_6(cli, unused_tcp_port):
    result = cli(
        "account",
        "list",
        TOKENSVC_DATABASE_URL=f"postgresql://u:secret@127.0.0.1:{unused_tcp_port}/d",
        code=6,
    )
    assert result.stderr == "tokensvc: the database does not answer right now; try again\n"


@pytest.mark.parametrize("change", ["password", "database", "port"])
def test_a_database_url_with_a_slip_is_told_in_one_line(change, cli):
    url = os.environ["TOKENSVC_DATABASE_URL"]
    database = url.rpartition("/test_")[2].partition("?")[0]
    bad = {
        "password": url.replace("tokensvc:", "tokensvc:wrong", 1),
        "database": url.replace(f"/test_{database}?", "/nowhere?"),
        "port": "postgresql://u:secret@127.0.0.1:port/d",
    }[change]
    result = cli("account", "list", TOKENSVC_DATABASE_URL=bad, code=1 if change == "port" else 6)
    assert result.stderr.startswith("tokensvc: ")
    assert "secret" not in result.output


def test_a_data_folder_that_cannot_be_made_is_told_in_one_line(cli, tmp_path):
    (tmp_path / "file").write_text("")
    result = cli(
        "account",
        "list",
        TOKENSVC_DATABASE_URL=None,
        TOKENSVC_DATA_DIR=str(tmp_path / "file"),
        code=1,
    )
    assert str(tmp_path / "file") in result.stderr


def test_without_a_database_url_a_command_uses_the_embedded_postgres(cli, session_folder):
    folder = str(session_folder / "embedded")
    environment = {"TOKENSVC_DATABASE_URL": None, "TOKENSVC_DATA_DIR": folder}
    assert cli.json("init", **environment)["status"] == "ready"
    assert [row["name"] for row in cli.json("account", "list", **environment)] == ["admin"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_serve_greets_serves_and_drains(workers, cli, new_process, new_database_url, tmp_path):
    cli("init")
    url = new_database_url(False) if workers == "1" else os.environ["TOKENSVC_DATABASE_URL"]
    keys = tmp_path / ("fresh" if workers == "1" else "keys")
    process = new_process(
        "--workers",
        workers,
        TOKENSVC_DATABASE_URL=url,
        TOKENSVC_KEYS_DIR=str(keys),
        TOKENSVC_DRAIN_SECONDS="1",
    )
    process.wait_until_ready()
    assert f"serves {process.url}" in process.output
    assert ("This is the first start" in process.output) == (workers == "1")
    if workers == "1":
        got = cli("token", "get", "--issuer", process.url, TOKENSVC_API_KEY=process.admin_key)
        assert find_secrets(got.stdout) == [got.stdout.strip()]
    process.send(signal.SIGTERM)
    assert process.wait() == 0


def test_a_port_that_is_taken_refuses_the_start_before_anything_is_done(cli, new_database_url):
    url = new_database_url(False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = cli("serve", TOKENSVC_PORT=port, TOKENSVC_DATABASE_URL=url, code=1)
    assert f"cannot listen on 127.0.0.1:{port}: " in result.stderr
    assert "set TOKENSVC_HOST and TOKENSVC_PORT" in result.stderr
    assert "lacks" in cli("account", "list", TOKENSVC_DATABASE_URL=url, code=1).stderr
