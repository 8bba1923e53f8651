from __future__ import annotations

import asyncio
import json
import os
import re
import time

import click
import pytest
from testbed.leaks import find_secrets
from testbed.processes import run_cli
from tests.factories import make_claims, make_signing_key
from tests.integration.things import read_header

from tokensvc.core.claims import build_payload
from tokensvc.core.jwks import build_jwks
from tokensvc.core.token import sign_jws
from tokensvc.store.pool import connect

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def service(ready, new_process, tmp_path):
    """A service beside the commands."""
    del ready
    process = new_process(
        TOKENSVC_DATABASE_URL=os.environ["TOKENSVC_DATABASE_URL"],
        TOKENSVC_KEYS_DIR=str(tmp_path / "keys"),
        TOKENSVC_DRAIN_SECONDS="1",
    )
    process.wait_until_ready()
    return process


@pytest.fixture
def saved(tmp_path):
    """A token that is good for a while, and the file with the JWKS that verifies it."""
    signing_key, _, jwk = make_signing_key()
    now = int(time.time())
    token = sign_jws(
        build_payload(make_claims(iat=now, exp=now + 600)), typ="at+jwt", key=signing_key
    )
    (tmp_path / "jwks.json").write_bytes(build_jwks([jwk]))
    return token, str(tmp_path / "jwks.json")


def test_a_key_becomes_a_token_that_verifies_until_it_is_revoked(
    ready, key, service, tmp_path, monkeypatch
):
    monkeypatch.setenv("TOKENSVC_ISSUER", service.url)
    (tmp_path / "key").write_text(key["key"] + "\n")
    tokens = [
        ready("token", "get", "--issuer", service.url, "--key-file", str(tmp_path / "key")).stdout,
        ready("token", "get", "--key-file", "-", stdin=key["key"]).stdout,
        ready("token", "get", TOKENSVC_API_KEY=key["key"]).stdout,
        ready(
            "token",
            "get",
            "--scope",
            "orders:read",
            "--audience",
            "api",
            "--expires-in",
            "60s",
            TOKENSVC_API_KEY=key["key"],
        ).stdout,
    ]
    prompted = ready("token", "get", stdin=key["key"] + "\n")
    assert key["key"] not in prompted.output
    assert all(find_secrets(text) == [text.strip()] for text in [*tokens, prompted.stdout])
    claims = ready.json("token", "verify", "--audience", "api", stdin=tokens[3])
    assert (claims["scope"], claims["client_id"], claims["exp"] - claims["iat"]) == (
        "orders:read",
        key["id"],
        60,
    )
    assert (
        "wrong_audience"
        in ready("token", "verify", "--audience", "other", stdin=tokens[0], code=5).stderr
    )
    assert ready.json("token", "revoke", stdin=tokens[3]) == {
        "jti": claims["jti"],
        "state": "revoked",
    }
    assert "revoked" in ready("token", "verify", stdin=tokens[3], code=5).stderr
    (row,) = ready.json("denylist", "list")
    assert (row["kind"], row["value"], row["upto"]) == ("jti", claims["jti"], None)
    ready("key", "revoke", key["id"])
    assert (
        "the API key is not accepted"
        in ready("token", "get", TOKENSVC_API_KEY=key["key"], code=4).stderr
    )


def test_a_token_verifies_offline_with_a_saved_jwks(ready, saved, tmp_path):
    token, jwks = saved
    arguments = (
        "token",
        "verify",
        "--issuer",
        "http://127.0.0.1:8080",
        "--audience",
        "api",
        "--jwks",
        jwks,
    )
    result = ready(*arguments, "-o", "json", stdin=token)
    assert json.loads(result.stdout)["jti"] == make_claims().jti
    assert "verified offline" in result.stderr
    (tmp_path / "token").write_text(token)
    assert make_claims().jti in ready(*arguments, str(tmp_path / "token")).stdout
    for stdin, reason in (
        (token[:-4] + "AAAA", "bad_signature"),
        ("junk", "malformed_token"),
        ("", "malformed_token"),
    ):
        assert f"({reason})" in ready(*arguments, stdin=stdin, code=5).stderr
    (tmp_path / "no-jwks").write_text("{}")
    for path in (tmp_path / "no-jwks", tmp_path / "missing"):
        assert (
            "cannot be read as a JWKS"
            in ready("token", "verify", "--jwks", str(path), stdin=token, code=5).stderr
        )


def test_a_token_can_be_looked_at_without_being_believed(ready, saved):
    token, _ = saved
    result = ready("token", "inspect", "-o", "json", stdin=token)
    shown = json.loads(result.stdout)
    assert (shown["header"], shown["payload"]["jti"]) == (read_header(token), make_claims().jti)
    assert shown["state"] == "foreign"
    assert (
        result.stderr
        == "not verified: anybody can write this, and the database has no such signing key\n"
    )
    assert "at+jwt" in ready("token", "inspect", stdin=token).stdout
    ready("token", "inspect", stdin="junk", code=5)


@pytest.mark.parametrize(
    "environment",
    [
        {"TOKENSVC_DATABASE_URL": None},
        {"TOKENSVC_DATABASE_URL": "postgresql://u:secret@127.0.0.1:9/d"},
    ],
)
def test_a_token_can_be_looked_at_without_a_database(environment, cli, saved, tmp_path):
    result = cli("token", "inspect", "-o", "json", stdin=saved[0], **environment)
    shown = json.loads(result.stdout)
    assert (shown["payload"]["jti"], shown["state"], shown["revoked_by"]) == (
        make_claims().jti,
        "unknown",
        None,
    )
    assert result.stderr.startswith(
        "not verified: anybody can write this, and there is no database to ask: "
    )
    assert "secret" not in result.stderr
    assert not (tmp_path / ".tokensvc").exists(), "nothing is made for it"


def test_the_database_says_whether_a_token_is_live_expired_or_denied(
    ready, key, service, monkeypatch
):
    monkeypatch.setenv("TOKENSVC_ISSUER", service.url)
    monkeypatch.setenv("TOKENSVC_API_KEY", key["key"])

    def inspect(token):
        result = ready("token", "inspect", "-o", "json", stdin=token)
        shown = json.loads(result.stdout)
        return shown["state"], shown["revoked_by"], result.stderr.strip()

    short = ready("token", "get", "--expires-in", "1s").stdout
    token, other = ready("token", "get").stdout, ready("token", "get").stdout
    assert inspect(token) == (
        "live",
        None,
        "live: we signed it, and it is neither expired nor denied",
    )
    ready("token", "revoke", stdin=token)
    state, entry, told = inspect(token)
    assert (state, entry["kind"], entry["seq"], entry["reason"]) == (
        "denied",
        "jti",
        1,
        "token revoked",
    )
    assert told.startswith("denied by entry 1-")
    assert told.endswith("(token revoked)")
    ready("key", "disable", key["id"])
    assert inspect(other)[1]["value"] == key["id"]
    time.sleep(1.1)
    assert inspect(short) == ("expired", None, "expired: we signed it, and its time is over")
    assert inspect(other.strip()[:-8] + "AAAAAAAA")[::2] == (
        "invalid",
        "not verified: it names a signing key of ours and is not as we sign (bad_signature)",
    )


def test_a_token_of_a_revoked_signing_key_is_shown_as_denied_even_when_the_entry_is_gone(
    ready, key, service, monkeypatch
):
    monkeypatch.setenv("TOKENSVC_ISSUER", service.url)
    token = ready("token", "get", TOKENSVC_API_KEY=key["key"]).stdout
    kid = read_header(token.strip())["kid"]
    ready("signing-key", "revoke", kid)
    assert ready.json("token", "inspect", stdin=token)["revoked_by"]["value"] == kid
    asyncio.run(_execute(os.environ["TOKENSVC_DATABASE_URL"], "delete from denylist"))
    result = ready("token", "inspect", "-o", "json", stdin=token)
    assert (json.loads(result.stdout)["state"], result.stderr) == (
        "denied",
        "denied: its signing key has been revoked\n",
    )


async def _execute(url, statement):
    connection = await connect(url)
    await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize("payload", ["AAAA", "bm90IGpzb24", "A"])
def test_a_token_whose_payload_is_junk_is_refused_in_one_line(payload, ready, saved):
    header = saved[0].partition(".")[0]
    result = ready("token", "inspect", stdin=f"{header}.{payload}.AAAA", code=5)
    assert result.stderr.startswith("tokensvc: ")


def test_revoking_what_is_no_token_of_ours_is_told(ready, saved):
    for text in (saved[0], "junk"):
        assert "no live token of ours" in ready("token", "revoke", stdin=text, code=3).stderr


@pytest.mark.parametrize("verb", ["verify", "inspect", "revoke"])
@pytest.mark.parametrize("length", [100, 1000])
def test_a_token_on_the_command_line_is_refused_with_a_way_out(verb, length, ready):
    token = f"eyJhbGciOiJFUzI1NiJ9.{'a' * length}.c2ln"
    result = ready("token", verb, token, code=5)
    assert "name a file that holds the token, or - for stdin" in result.stderr
    assert token not in result.output


def test_a_key_file_that_is_missing_is_told_in_one_line(ready, tmp_path):
    result = ready(
        "token", "get", "--issuer", NOBODY, "--key-file", str(tmp_path / "missing"), code=5
    )
    assert result.stderr.startswith("tokensvc: ")
    assert "missing" in result.stderr


def test_a_service_that_is_away_is_exit_code_6(ready):
    ready("token", "get", "--issuer", NOBODY, TOKENSVC_API_KEY="tsk-0", code=6)


def test_no_option_takes_a_secret(subtests):
    """`denylist add --key` takes the public id of a key, and refuses a key."""
    from tokensvc.cli.root import _COMMANDS, root  # noqa: PLC0415

    for name in _COMMANDS:
        command = root.get_command(click.Context(root), name)
        for sub in getattr(command, "commands", {"": command}).values():
            with subtests.test(msg=f"{name} {sub.name}"):
                options = {option for parameter in sub.params for option in parameter.opts}
                assert not {
                    option
                    for option in options - {"--key"}
                    if re.search(r"secret|password|token$|key$", option)
                }


def test_the_installed_program_does_the_same(key, tmp_path):
    environment = {"TOKENSVC_DATABASE_URL": os.environ["TOKENSVC_DATABASE_URL"]}
    shown = run_cli("key", "show", key["id"], "-o", "json", cwd=tmp_path, **environment)
    assert (shown.returncode, json.loads(shown.stdout)["id"], shown.stderr) == (0, key["id"], "")
    missing = run_cli("key", "show", "key_0", cwd=tmp_path, **environment)
    assert (missing.returncode, missing.stdout) == (3, "")
    assert (
        missing.stderr == "tokensvc: there is no key 'key_0'; `tokensvc key list` shows their ids\n"
    )
