from __future__ import annotations

import asyncio
import json
import os
import time

import pytest
from testbed.leaks import find_secrets
from testbed.waiting import wait_until
from tests.factories import make_claims, make_signing_key
from tests.integration.things import read_header

from tokensvc.core.claims import build_payload
from tokensvc.core.jwks import build_jwks
from tokensvc.core.token import sign_jws
from tokensvc.store.primary import connect

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def database_url(served):
    return served.database_url


@pytest.fixture
def service(served, monkeypatch):
    """A service beside the commands, which know it as their issuer."""
    monkeypatch.setenv("TOKENSVC_ISSUER", served.url)
    return served


@pytest.fixture
def saved(tmp_path):
    """A token that is good for a while, and the file with the JWKS that verifies it."""
    signing_key, _, jwk = make_signing_key()
    now = int(time.time())
    payload = build_payload(make_claims(iat=now, exp=now + 600))
    (tmp_path / "jwks.json").write_bytes(build_jwks([jwk]))
    return sign_jws(payload, typ="at+jwt", key=signing_key), str(tmp_path / "jwks.json")


def test_a_key_from_a_file_stdin_the_environment_or_a_prompt_becomes_a_token(
    ready, key, service, tmp_path
):
    text, path = key["key"], tmp_path / "key"
    path.write_text(text + "\n")
    prompted = ready("token get", stdin=text + "\n")
    assert text not in prompted.output
    answers = [
        prompted,
        ready("token get --issuer", service.url, "--key-file", str(path)),
        ready("token get --key-file -", stdin=text),
        ready("token get", TOKENSVC_API_KEY=text),
    ]
    assert all(find_secrets(got.stdout) == [got.stdout.strip()] for got in answers)
    ready("key revoke", key["id"])
    refused = ready("token get", TOKENSVC_API_KEY=text, code=4)
    assert "the API key is not accepted" in refused.stderr


def test_a_token_verifies_until_it_is_revoked(ready, key, service):
    del service
    options = "--scope orders:read --audience api --expires-in 60s"
    token = ready(f"token get {options}", TOKENSVC_API_KEY=key["key"]).stdout
    claims = ready.json("token verify --audience api", stdin=token)
    assert (claims["scope"], claims["client_id"]) == ("orders:read", key["id"])
    assert claims["exp"] - claims["iat"] == 60
    elsewhere = ready("token verify --audience other", stdin=token, code=5)
    assert "wrong_audience" in elsewhere.stderr
    jti = claims["jti"]
    revoked = ready.json("token revoke --reason lost", stdin=token)
    assert (revoked["kind"], revoked["value"]) == ("jti", jti)
    # The command wrote to the database, and the service hears of it within a second.
    wait_until(lambda: ready("token verify", stdin=token, code=None).exit_code == 5)
    assert "(revoked_jti)" in ready("token verify", stdin=token, code=5).stderr
    (row,) = ready.json("denylist list --kind jti --value", jti)
    assert (row["kind"], row["value"], row["upto"], row["reason"]) == ("jti", jti, None, "lost")


def test_a_token_verifies_offline_with_a_saved_jwks(ready, saved, tmp_path):
    token, jwks = saved
    verify = f"token verify --issuer http://127.0.0.1:8080 --audience api --jwks {jwks}"
    result = ready(f"{verify} -o json", stdin=token)
    assert json.loads(result.stdout)["jti"] == make_claims().jti
    assert "verified offline" in result.stderr
    (tmp_path / "token").write_text(token)
    assert make_claims().jti in ready(verify, str(tmp_path / "token")).stdout
    for stdin, reason in ((token[:-4] + "AAAA", "bad_signature"), ("junk", "malformed_token")):
        assert f"({reason})" in ready(verify, stdin=stdin, code=5).stderr
    (tmp_path / "no-jwks").write_text("{}")
    for path in (tmp_path / "no-jwks", tmp_path / "missing"):
        refused = ready("token verify --jwks", str(path), stdin=token, code=5)
        assert "cannot be read as a JWKS" in refused.stderr


def test_a_token_can_be_looked_at_without_being_believed(ready, saved):
    token, _ = saved
    result = ready("token inspect -o json", stdin=token)
    shown = json.loads(result.stdout)
    assert (shown["header"], shown["payload"]["jti"]) == (read_header(token), make_claims().jti)
    assert shown["state"] == "foreign"
    told = "not verified: anybody can write this, and the database has no such signing key\n"
    assert result.stderr == told
    assert "at+jwt" in ready("token inspect", stdin=token).stdout
    ready("token inspect", stdin="junk", code=5)


@pytest.mark.parametrize("url", [None, "postgresql://u:secret@127.0.0.1:9/d"])
def test_a_token_can_be_looked_at_without_a_database(url, cli, saved, tmp_path):
    result = cli("token inspect -o json", stdin=saved[0], TOKENSVC_DATABASE_URL=url)
    shown = json.loads(result.stdout)
    assert shown["payload"]["jti"] == make_claims().jti
    assert (shown["state"], shown["revoked_by"]) == ("unknown", None)
    told = "not verified: anybody can write this, and nobody can be asked: "
    assert result.stderr.startswith(told)
    assert "secret" not in result.stderr
    assert not (tmp_path / ".tokensvc").exists(), "nothing is made for it"


def test_the_database_says_whether_a_token_is_live_expired_or_revoked(
    ready, key, service, monkeypatch
):
    del service
    monkeypatch.setenv("TOKENSVC_API_KEY", key["key"])

    def inspect(token):
        result = ready("token inspect -o json", stdin=token)
        shown = json.loads(result.stdout)
        return shown["state"], shown["revoked_by"], result.stderr.strip()

    short = ready("token get --expires-in 1s").stdout
    token, other = ready("token get").stdout, ready("token get").stdout
    live = "live: we signed it, and it is neither expired nor revoked"
    assert inspect(token) == ("live", None, live)
    ready("token revoke", stdin=token)
    state, revoked_by, told = inspect(token)
    assert (state, revoked_by["kind"]) == ("revoked", "jti")
    assert revoked_by["ending"] == "token_revoked"
    assert told.startswith(f"revoked by entry {revoked_by['seq']}-")
    assert told.endswith("(token revoked)")
    ready("key disable", key["id"])
    assert inspect(other)[1]["value"] == key["id"]
    time.sleep(1.1)
    assert inspect(short) == ("expired", None, "expired: we signed it, and its time is over")
    forged = (
        "not verified: it names a signing key of ours, but is not as we sign tokens (bad_signature)"
    )
    assert inspect(other.strip()[:-8] + "AAAAAAAA") == ("invalid", None, forged)


def test_a_token_of_a_revoked_signing_key_is_revoked_even_when_the_revocation_is_gone(
    ready, key, service
):
    del service
    token = ready("token get", TOKENSVC_API_KEY=key["key"]).stdout
    kid = read_header(token.strip())["kid"]
    ready("signing-key revoke", kid)
    assert ready.json("token inspect", stdin=token)["revoked_by"]["value"] == kid
    asyncio.run(execute(os.environ["TOKENSVC_DATABASE_URL"], "delete from denylist"))
    result = ready("token inspect -o json", stdin=token)
    assert json.loads(result.stdout)["state"] == "revoked"
    assert result.stderr == "revoked: its signing key has been revoked\n"


async def execute(url, statement):
    connection = await connect(url)
    await connection.execute(statement)
    await connection.close()


@pytest.mark.parametrize("payload", ["AAAA", "bm90IGpzb24", "A"])
def test_a_token_whose_payload_is_junk_is_refused_in_one_line(payload, ready, saved):
    header = saved[0].partition(".")[0]
    result = ready("token inspect", stdin=f"{header}.{payload}.AAAA", code=5)
    assert result.stderr.startswith("tokensvc: ")
    assert result.stderr.count("\n") == 1


def test_revoking_what_is_no_token_of_ours_is_told(ready, saved):
    for text in (saved[0], "junk"):
        assert "no live token of ours" in ready("token revoke", stdin=text, code=3).stderr


def test_a_token_on_the_command_line_is_refused_with_a_way_out(ready, subtests):
    for length in (
        100,
        1000,
    ):
        for verb in (
            "verify",
            "inspect",
            "revoke",
        ):
            with subtests.test(msg=f"{length} {verb}"):
                token = f"eyJhbGciOiJFUzI1NiJ9.{'a' * length}.c2ln"
                result = ready("token", verb, token, code=5)
                assert "name a file that holds the token, or - for stdin" in result.stderr
                assert token not in result.output


def test_a_key_file_that_is_missing_is_told_in_one_line(ready, tmp_path):
    path = str(tmp_path / "missing")
    result = ready("token get --issuer", NOBODY, "--key-file", path, code=5)
    assert result.stderr == f"tokensvc: {path} cannot be read: No such file or directory\n"


def test_a_service_that_is_away_is_exit_code_6(ready):
    ready("token get --issuer", NOBODY, TOKENSVC_API_KEY="tsk-0", code=6)
