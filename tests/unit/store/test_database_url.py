"""URLs of Postgres: several hosts, sockets, the parameters of libpq, and passwords of all kinds."""

from __future__ import annotations

import getpass

import pytest

from tokensvc.core.errors import StartRefusedError
from tokensvc.store.database_url import (
    drop_login,
    find_authorities,
    name_database,
    parse_database_url,
    split_password,
)
from tokensvc.store.libpq import choose_parameters

LOOKS = "must look like postgresql://user:password@host:5432/database"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "postgres",
        "mysql://h/d",
        "postgresql://host",
        "postgresql://u:secret@host/",
        "http://h/d",
        "postgresql://u:secret[@host/d",
        "postgresql://u:sec ret@host/d",
        "postgresql://u:secret@host/d\n",
        "postgresql://u:secret/more@host/d",
        "postgresql://u:secret@host:port/d",
        "postgresql://u:secret@host/d?sslmode",
        "host=h dbname=d password=secret",
    ],
)
def test_a_url_that_is_none_of_postgres_is_refused_without_being_shown(url):
    with pytest.raises(StartRefusedError, match=LOOKS) as caught:
        parse_database_url(url)
    assert "secret" not in caught.value.message


def test_a_url_of_several_hosts_is_split_into_one_for_each():
    options = "target_session_attrs=primary&connect_timeout=1&sslmode=require"
    assert parse_database_url(f"postgresql://u:p@one:5432,two:5433,one:5432/d?{options}") == (
        "postgresql://u:p@one:5432/d?sslmode=require",
        "postgresql://u:p@two:5433/d?sslmode=require",
    )
    assert parse_database_url("postgresql://u:p@/d?host=one,two&port=5432") == (
        "postgresql://u:p@one:5432/d",
        "postgresql://u:p@two:5432/d",
    )
    assert parse_database_url("postgresql://u:p@one/d") == ("postgresql://u:p@one/d",)


def test_a_socket_is_a_host_wherever_it_is_written():
    one = "postgresql://u:p@/d?host=%2Frun%2Fone&port=1"
    assert parse_database_url("postgresql://u:p@%2Frun%2Fone:1/d") == (one,)
    assert parse_database_url("postgresql://u:p@/d?host=/run/one,/run/two&port=1,2") == (
        one,
        "postgresql://u:p@/d?host=%2Frun%2Ftwo&port=2",
    )


def test_an_ipv6_address_is_a_host():
    given = "postgresql://u:p@[::1]:5/d", "postgresql://u:p@/d?host=::1&port=5"
    assert {parse_database_url(url) for url in given} == {("postgresql://u:p@[::1]:5/d",)}


def test_a_password_means_the_same_to_every_reader():
    assert parse_database_url("postgresql://u:a@b:c%25d%2F@h/d") == (
        "postgresql://u:a%40b%3Ac%25d%2F@h/d",
    )


def test_parameters_that_change_nothing_are_dropped():
    nothing = (
        "keepalives_count=3&sslcompression=0&fallback_application_name=x&gssencmode=prefer"
        "&channel_binding=prefer&client_encoding=UTF8&load_balance_hosts=random&tcp_user_timeout=9"
    )
    assert parse_database_url(f"postgresql://u:p@h/d?{nothing}") == ("postgresql://u:p@h/d",)


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("sslmode=verify_full", r"sslmode is one of disable.*did you mean verify-full\?"),
        ("gssencmode=require", "gssencmode may be disable or prefer"),
        ("target_session_attrs=standby", "target_session_attrs may be any"),
        ("client_encoding=LATIN1", "client_encoding may be"),
        ("require_auth=md5", "require_auth cannot be honoured"),
        ("keepalive_count=3", r"no parameter of libpq \(did you mean keepalives_count\?\)"),
        ("pgbouncer=true", "'pgbouncer' is no parameter of libpq; a setting of the server"),
        ("sslrootcert=/nowhere", "the file of sslrootcert, /nowhere, cannot be read: No such"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_its_name(parameter, said):
    with pytest.raises(StartRefusedError, match=f"^TOKENSVC_DATABASE_URL: .*{said}"):
        parse_database_url(f"postgresql://u:p@h/d?{parameter}")


def test_channel_binding_is_honoured_by_demanding_a_certificate():
    given = [("sslmode", "require"), ("channel_binding", "require")]
    assert dict(choose_parameters(given, "/ca")) == {"sslmode": "verify-full", "sslrootcert": "/ca"}
    own = dict(choose_parameters([*given, ("sslrootcert", "/own")], "/ca"))
    assert own == {"sslmode": "verify-full", "sslrootcert": "/own"}


def test_the_authorities_of_the_machine_are_found_or_missed_by_name():
    system = [("sslmode", "verify-full"), ("sslrootcert", "system")]
    assert dict(choose_parameters(system, "/ca"))["sslrootcert"] == "/ca"
    with pytest.raises(ValueError, match="sslrootcert=system finds no certificate authorities"):
        choose_parameters(system, None)
    found = find_authorities()
    assert found is None or found.endswith((".crt", ".pem"))


def test_a_url_without_a_role_needs_a_user_that_has_a_name(monkeypatch):
    def nameless():
        raise KeyError("getpwuid(): uid not found: 12345")

    assert parse_database_url("postgresql://h/d") == ("postgresql://h/d",)
    monkeypatch.delenv("PGUSER", raising=False)
    monkeypatch.setattr(getpass, "getuser", nameless)
    with pytest.raises(StartRefusedError, match="names no role, and the user of this process has"):
        parse_database_url("postgresql://h/d")
    assert parse_database_url("postgresql://h/d?user=u") == ("postgresql://h/d?user=u",)


@pytest.mark.parametrize(
    ("given", "bare", "password", "place"),
    [
        ("postgresql://u:p%2F1@h:1/db", "u@h:1/db", "p/1", "h:1/db"),
        ("postgresql://u@h/db?sslmode=require", "u@h/db?sslmode=require", None,
         "h/db?sslmode=require"),
        ("postgresql:///db?host=/run&user=u&password=p", "/db?host=%2Frun&user=u", "p",
         "/db?host=%2Frun"),
        ("postgresql://u:p@/a%20b?host=/run", "u@/a%20b?host=%2Frun", "p", "/a%20b?host=%2Frun"),
        ("postgresql://u:p@h/?database=db", "u@h/db", "p", "h/?database=db"),
    ],
)  # fmt: skip
def test_a_password_is_taken_out_of_a_url_for_programs(given, bare, password, place):
    (url,) = parse_database_url(given)
    secret = {} if password is None else {"PGPASSWORD": password}
    assert split_password(url) == (f"postgresql://{bare}", secret)
    assert drop_login(url) == f"postgresql://{place}"


def test_another_database_of_the_same_server_has_the_same_url_but_for_its_name():
    for given, named in (
        ("postgresql://u:p@h/db?sslmode=require", "u:p@h/my%20db?sslmode=require"),
        ("postgresql://u:p@/db?host=/run&port=1", "u:p@/my%20db?host=%2Frun&port=1"),
        ("postgresql://u@h/?dbname=db", "u@h/my%20db"),
    ):
        (url,) = parse_database_url(given)
        assert name_database(url, "my db") == f"postgresql://{named}"
