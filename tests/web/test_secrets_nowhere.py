"""A key or token that is shown in any place turns up in no log and in no answer."""

from __future__ import annotations

import itertools

import pytest
from testbed.leaks import find_secrets
from tests.web.asking import FORMS, ask, basic, get_token, send

PATHS = (
    "/v1/token",
    "/v1/revoke",
    "/v1/introspect",
    "/v1/denylist",
    "/v1/keys",
    "/v1/whoami",
    "/.well-known/jwks.json",
    "/.well-known/openid-configuration",
    "/livez",
    "/readyz",
    "/metrics",
    "/nothing",
)
METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS")
HEADERS = ("User-Agent", "Referer", "Cookie", "X-Request-Id", "X-Forwarded-For", "Content-Type")
BREAK_THE_LEDGER = (
    "alter table api_key_window add constraint impossible check (minute_count < 0) not valid"
)


def places(path, secret):
    """Yield where a secret can stand in a request: (path, headers, fields)."""
    yield f"{path}/{secret}", {}, None
    yield f"{path}?{secret}", {}, None
    yield f"{path}?access_token={secret}", {}, None
    yield path, dict([basic(secret, secret)]), {"grant_type": secret}
    yield path, {"Authorization": f"Digest {secret}"}, None
    yield path, {"Authorization": f"Bearer {secret}, {secret}"}, None
    for name in HEADERS:
        yield path, {name: secret}, None
    for name in ("scope", "audience", "resource", "expires_in", "client_id", secret):
        yield path, {"Authorization": f"Bearer {secret}"}, {name: secret}
    for name in ("token_type_hint", "subject_token", "actor_token"):
        yield path, {}, {"token": secret, name: secret}


@pytest.mark.parametrize("kind", ["key", "token"])
async def test_t21_a_secret_in_any_place_of_any_request_is_repeated_nowhere(
    kind, key, logs, settings, new_client
):
    # Else the refusals come late.
    often = {"refusals_per_minute": 1_000_000, "unknown_keys_per_minute": 1_000_000}
    client = await new_client(settings.model_copy(update=often))
    token = (await get_token(client, key))["access_token"]
    secret = key.key.text if kind == "key" else token
    for path, method in itertools.product(PATHS, METHODS):
        for where, headers, fields in places(path, secret):
            answer = await client.request(method, where, headers=headers, data=fields)
            assert secret not in f"{await answer.text()} {answer.headers}", (method, where, fields)
            assert answer.status < 500
    assert secret not in await (await client.get("/metrics")).text()
    assert len(logs.find("request")) > 900
    assert find_secrets(logs.stream.getvalue()) == []


async def test_t21_a_fault_of_ours_shows_no_secret_in_its_traceback(
    client, key, logs, connection, postgres_folder
):
    await connection.execute(BREAK_THE_LEDGER)
    for form in FORMS:
        answer = await send(client, ask(form, key.key.text, key.listed.record.id))
        assert (answer.status, key.key.text in await answer.text()) == (500, False)
    assert logs.find("request_failed")
    assert find_secrets(logs.stream.getvalue()) == []
    told = "".join(path.read_text() for path in postgres_folder.rglob("*.log"))
    assert "impossible" in told, "the log of Postgres has the failure"
    assert key.key.text not in told


async def test_t35_what_clients_write_into_headers_breaks_no_line_of_the_log(client, key, logs):
    for text in ('"}\t{"', "\\n\\x1b[31m", "a" * 5000, "\u00fc", "%0d%0aevent=forged", "{0}"):
        headers = dict.fromkeys(("User-Agent", "Referer", "X-Request-Id"), text)
        answer = await client.post("/v1/token", headers=headers, data={"scope": text})
        assert answer.status in {400, 401}
    lines = logs.find("request")
    assert len(lines) == 6
    assert all(len(str(line)) < 500 for line in lines)
    assert (await get_token(client, key))["access_token"]
