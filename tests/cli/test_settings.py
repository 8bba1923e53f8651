from __future__ import annotations

import asyncio
import os

import pytest
from tests.factories import make_settings

from tokensvc.cli.database import check_schema_patiently
from tokensvc.core.errors import StartRefusedError, UnavailableError
from tokensvc.settings import load_settings
from tokensvc.store.pool import open_database
from tokensvc.store.primary import connect

BAD = {
    "TOKENSVC_PORT": ["x", "-1", "65536", "80.5"],
    "TOKENSVC_ISSUER": ["issuer.example", "ftp://x", "https://", "https://x?q=1", "https://x#f"],
    "TOKENSVC_TOKEN_TTL": ["0", "3601", "ten"],
    "TOKENSVC_MAX_TOKEN_TTL": ["5", "599", "2592001"],
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


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (
            {"TOKENSVC_TOKEN_TTL": "700", "TOKENSVC_MAX_TOKEN_TTL": "650"},
            "TOKENSVC_TOKEN_TTL (700) must not exceed TOKENSVC_MAX_TOKEN_TTL (650)",
        ),
        (
            {"TOKENSVC_ROTATION_PERIOD": "690"},
            "TOKENSVC_JWKS_MAX_AGE + TOKENSVC_VERIFIER_CACHE + TOKENSVC_ROTATION_MARGIN = 690",
        ),
        (
            {"TOKENSVC_ROTATION_PERIOD": "3720"},
            "it has signed for the last time: TOKENSVC_MAX_TOKEN_TTL + 120 = 3720",
        ),
        (
            {"TOKENSVC_FEED_PAGE_TTL": "15"},
            "TOKENSVC_FEED_PAGE_TTL must exceed half of TOKENSVC_FEED_MAX_WAIT",
        ),
        (
            {"TOKENSVC_DATABASE_URL": "x", "TOKENSVC_DATABASE_URL_FILE": "y"},
            "TOKENSVC_DATABASE_URL and TOKENSVC_DATABASE_URL_FILE contradict each other",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_settings_that_contradict_each_other_are_all_named(environment, told):
    with pytest.raises(StartRefusedError) as caught:
        load_settings(environment)
    assert told in caught.value.message


def test_the_database_url_may_lie_in_a_file_and_shows_nowhere(tmp_path):
    path = tmp_path / "url"
    path.write_text("postgresql://user:secret@host/db\n")
    settings = load_settings({"TOKENSVC_DATABASE_URL_FILE": str(path)})
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://user:secret@host/db"
    assert "secret" not in repr(settings)
    path.write_bytes(b"\xff\xfe")
    for bad in (path, tmp_path / "missing", tmp_path):
        with pytest.raises(StartRefusedError, match="TOKENSVC_DATABASE_URL_FILE: cannot read"):
            load_settings({"TOKENSVC_DATABASE_URL_FILE": str(bad)})


def test_the_issuer_is_the_address_unless_it_is_set():
    assert make_settings().issuer_url == "http://127.0.0.1:8080"
    assert make_settings(host="::1", port=9000).issuer_url == "http://[::1]:9000"
    assert make_settings(issuer="https://issuer.example/auth/").issuer_url == (
        "https://issuer.example/auth"
    )


def test_the_master_key_lies_in_the_keys_folder_unless_its_file_is_named():
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
    environment = {"TOKENSVC_DATABASE_URL": "postgresql://u:secret@h/d", "TOKENSVC_PORT": "x"}
    result = cli("account list", **environment, code=1)
    assert result.stderr.startswith("tokensvc: TOKENSVC_PORT: ")
    assert "secret" not in result.output
    result = cli("account list", TOKENSVC_DATABASE_URL="mysql://u:secret@h/d", code=1)
    assert result.stderr.startswith("tokensvc: TOKENSVC_DATABASE_URL must look like postgresql://")
    assert "secret" not in result.output


def test_a_database_that_is_away_is_exit_code_6(cli, unused_tcp_port):
    url = f"postgresql://u:secret@127.0.0.1:{unused_tcp_port}/d"
    result = cli("account list", TOKENSVC_DATABASE_URL=url, code=6)
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
    result = cli("account list", TOKENSVC_DATABASE_URL=bad, code=1 if change == "port" else 6)
    assert result.stderr.startswith("tokensvc: ")
    assert "secret" not in result.output


async def test_f36_a_command_that_gets_no_connection_says_what_to_do(new_database_url):
    url = await asyncio.to_thread(new_database_url, "migrated")
    connection = await connect(url)
    await connection.execute("create role crowded login password 'x' connection limit 0")
    database = await open_database(f"postgresql://crowded:x@{url.partition('@')[2]}", max_size=1)
    told = "have all connections of Postgres; docs/operations.md"
    try:
        with pytest.raises(UnavailableError, match=told):
            await check_schema_patiently(database, patience=0.2)
    finally:
        await database.close()
        await connection.execute("drop role crowded")
        await connection.close()
