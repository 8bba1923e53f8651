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
    "TOKENSVC_ROTATION_PERIOD": ["59", "960"],
    "TOKENSVC_JWKS_MAX_AGE": ["-1"],
    "TOKENSVC_FEED_MAX_WAIT": ["0", "31"],
    "TOKENSVC_FEED_PAGE_TTL": ["4", "15"],
    "TOKENSVC_POOL_SIZE": ["1", "201"],
    "TOKENSVC_LOG_LEVEL": ["loud", "INFO"],
    "TOKENSVC_DEFAULT_AUDIENCE": ["x" * 256],
    "TOKENSVC_DATABASE_WAIT": ["-1"],
}


def get_url(settings):
    assert settings.database_url is not None
    return settings.database_url.get_secret_value()


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
            {"TOKENSVC_ROTATION_PERIOD": "960"},
            "TOKENSVC_JWKS_MAX_AGE + TOKENSVC_VERIFIER_CACHE + TOKENSVC_ROTATION_MARGIN = 960",
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
    path.write_bytes(b"\xff\x00")
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


def test_an_unknown_setting_is_refused_with_the_nearest_name():
    with pytest.raises(StartRefusedError, match=r"did you mean TOKENSVC_FEED_AUTHENTICATION\?"):
        load_settings({"TOKENSVC_FEED_AUTHENTIFICATION": "required"})
    for unknown in ("TOKENSVC_XYZ", "TOKENSVC_IS_CREDENTIAL", "TOKENSVC_PORT_FILE"):
        with pytest.raises(StartRefusedError, match=f"{unknown} is no setting; "):
            load_settings({unknown: "1"})
    commands = {"TOKENSVC_URL": "https://x", "TOKENSVC_API_KEY": "x", "TOKENSVC_PROFILE": "x"}
    assert load_settings(commands).port == 8080


def test_what_kubernetes_says_of_services_called_tokensvc_is_no_setting():
    links = {
        "TOKENSVC_PORT": "tcp://10.96.0.7:8080",
        "TOKENSVC_METRICS_PORT": "tcp://10.96.0.8:9100",
        "TOKENSVC_SERVICE_HOST": "10.96.0.7",
        "TOKENSVC_SERVICE_PORT_HTTP": "8080",
        "TOKENSVC_PORT_8080_TCP": "tcp://10.96.0.7:8080",
        "TOKENSVC_POSTGRES_PORT_5432_TCP_ADDR": "10.96.0.9",
        "TOKENSVC_POSTGRES_SERVICE_HOST": "10.96.0.9",
    }
    settings = load_settings(links)
    assert (settings.port, settings.metrics_port) == (8080, None)
    with pytest.raises(StartRefusedError, match="TOKENSVC_PORT: "):
        load_settings({"TOKENSVC_PORT": "http://10.96.0.7:8080"})


def test_settings_come_from_a_file_and_the_environment_goes_before_it(tmp_path):
    url = tmp_path / "url"
    url.write_bytes("postgresql://u:secret@h/d\r\n".encode("utf-16"))  # as PowerShell writes it
    file = tmp_path / "tokensvc.toml"
    file.write_text(f"port = 9000\ntoken_ttl = 60\ndatabase_url_file = '{url}'\n")
    settings = load_settings(
        {"TOKENSVC_CONFIG": str(file), "TOKENSVC_PORT": "9001", "TOKENSVC_TOKEN_TTL": ""}
    )
    assert (settings.port, settings.token_ttl) == (9001, 60)
    assert get_url(settings) == "postgresql://u:secret@h/d"
    assert settings.sources == {
        "port": "environment",
        "token_ttl": str(file),
        "database_url": str(url),
    }
    given = {"TOKENSVC_CONFIG": str(file), "TOKENSVC_DATABASE_URL": "postgresql://u@other/d"}
    assert get_url(load_settings(given)) == "postgresql://u@other/d"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("porrt = 1", "in .*, TOKENSVC_PORRT is no setting; did you mean TOKENSVC_PORT"),
        ("port = true", "'port' must be a text or a number"),
        ("[server]\nport = 1", "'server' must be a text or a number"),
        ("port = 99999", r"TOKENSVC_PORT \(from .*tokensvc.toml\): Input should be less"),
        ("port = ", "is no TOML: Invalid value"),
        ("master_key = 'x'\nmaster_key_file = 'y'", "TOKENSVC_MASTER_KEY_FILE contradict"),
    ],
)
def test_a_file_of_settings_that_will_not_do_is_named(tmp_path, text, said):
    file = tmp_path / "tokensvc.toml"
    file.write_text(text)
    with pytest.raises(StartRefusedError, match=said):
        load_settings({"TOKENSVC_CONFIG": str(file)})


def test_the_settings_are_shown_with_their_sources_and_without_secrets(offline_cli, tmp_path):
    (tmp_path / "t.toml").write_text("token_ttl = 60")
    secret = {"TOKENSVC_DATABASE_URL": "postgresql://u:geheim@h/d", "TOKENSVC_CONFIG": "t.toml"}
    shown = {row.pop("name"): row for row in offline_cli.json("settings", **secret)}
    assert shown["TOKENSVC_DATABASE_URL"] == {"value": "(secret)", "source": "environment"}
    assert shown["TOKENSVC_TOKEN_TTL"] == {"value": "60", "source": "t.toml"}
    assert shown["TOKENSVC_MASTER_KEY"] == {"value": None, "source": "default"}
    assert "TOKENSVC_IS_CREDENTIAL" not in shown
    assert "geheim" not in offline_cli("settings", **secret).output


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
    away = "tokensvc: the database does not answer right now; try again (TOKENSVC_DATABASE_URL: "
    assert result.stderr.startswith(away)
    assert "secret" not in result.stderr


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
