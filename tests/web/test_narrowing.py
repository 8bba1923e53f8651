from __future__ import annotations

import asyncio
from datetime import timedelta

import jwt
import pytest
from tests import endings
from tests.factories import make_signing_key
from tests.integration.things import ACTOR, make_key, read_payload
from tests.web.asking import ACCESS_TOKEN_TYPE, get_token, try_token

from tokensvc.core.token import sign_jws
from tokensvc.issuer.admin import accounts, api_keys, audiences


async def test_a_token_can_be_exchanged_for_a_narrower_one(client, key, database, settings):
    await audiences.create_audience(
        database, settings, "orders", token_life=timedelta(seconds=120), actor=ACTOR
    )
    original = await get_token(client, key, audience="orders")
    narrowed = await get_token(
        client, original["access_token"], scope="orders:read", expires_in="60"
    )
    before, after = read_payload(original["access_token"]), read_payload(narrowed["access_token"])
    assert (narrowed["issued_token_type"], narrowed["expires_in"], narrowed["scope"]) == (
        ACCESS_TOKEN_TYPE,
        60,
        "orders:read",
    )
    assert (after["aud"], after["scope"], after["exp"]) == (
        "orders",
        "orders:read",
        after["iat"] + 60,
    )
    assert after["origin_jti"] == before["jti"] != after["jti"]
    assert after["origin_kid"] == jwt.get_unverified_header(original["access_token"])["kid"]
    assert (after["sub"], after["client_id"]) == (before["sub"], before["client_id"])


async def test_a_narrowed_token_never_outlives_its_original(client, key):
    original = await get_token(client, key, expires_in="30")
    narrowed = await get_token(client, original["access_token"], expires_in="500")
    assert (
        read_payload(narrowed["access_token"])["exp"]
        == read_payload(original["access_token"])["exp"]
    )


async def test_a_narrowed_token_cannot_be_narrowed_again(client, key, logs):
    narrowed = await get_token(client, (await get_token(client, key))["access_token"])
    await _refused(client, narrowed["access_token"], logs, "narrowed_already")


async def test_a_narrowed_token_has_no_more_than_its_original(client, key):
    original = await get_token(client, key, scope="orders:read")
    answer = await try_token(
        client, original["access_token"], [("scope", "orders:read orders:write")]
    )
    assert (answer.status, (await answer.json())["error"]) == (400, "invalid_scope")
    assert (await get_token(client, original["access_token"]))["scope"] == "orders:read"


async def test_a_narrowed_token_has_no_more_than_its_key_has_now(client, key, database):
    original = (await get_token(client, key))["access_token"]
    await _let(database, key, ["orders:read", "invoices:read"])
    assert (await get_token(client, original))["scope"] == "orders:read"
    await _let(database, key, ["invoices:read"])
    answer = await try_token(client, original)
    assert (answer.status, (await answer.json())["error"]) == (400, "invalid_scope")


async def _let(database, key, capabilities):
    await api_keys.update_key(
        database, key.listed.record.id, api_keys.KeyChanges(capabilities=capabilities), actor=ACTOR
    )


async def _revoke_key(database, key):
    await endings.revoke_key(database, key.listed.record.id, actor=ACTOR)


async def _disable_key(database, key):
    await endings.disable_key(database, key.listed.record.id, actor=ACTOR)


async def _disable_and_enable_key(database, key):
    await endings.disable_key(database, key.listed.record.id, actor=ACTOR)
    await api_keys.enable_key(database, key.listed.record.id, actor=ACTOR)


async def _delete_key(database, key):
    await endings.delete_key(database, key.listed.record.id, actor=ACTOR)


async def _suspend_account(database, key):
    await endings.suspend_account(database, key.listed.record.account_id, actor=ACTOR)


async def _suspend_and_resume_account(database, key):
    await endings.suspend_account(database, key.listed.record.account_id, actor=ACTOR)
    await accounts.resume_account(database, key.listed.record.account_id, actor=ACTOR)


async def _delete_account(database, key):
    await endings.delete_account(database, key.listed.record.account_id, actor=ACTOR)


async def _end_tokens(database, key):
    await api_keys.update_key(
        database, key.listed.record.id, api_keys.KeyChanges(), actor=ACTOR, revoke_tokens=True
    )


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (_revoke_key, "revoked"),
        (_disable_key, "disabled"),
        (_disable_and_enable_key, "revoked"),
        (_delete_key, "unknown_key"),
        (_suspend_account, "suspended"),
        (_suspend_and_resume_account, "revoked"),
        (_delete_account, "revoked"),
        (_end_tokens, "revoked"),
    ],
)
async def test_t32_a_token_whose_key_or_account_was_stopped_cannot_be_narrowed(
    act, reason, client, key, database, logs
):
    token = (await get_token(client, key))["access_token"]
    await act(database, key)
    await _refused(client, token, logs, reason)


async def test_a_token_that_was_denied_itself_cannot_be_narrowed(client, key, logs):
    token, other = [(await get_token(client, key))["access_token"] for _ in range(2)]
    assert (await client.post("/v1/revoke", data={"token": token})).status == 200
    await _refused(client, token, logs, "revoked")
    assert (await get_token(client, other))["token_type"] == "Bearer"


async def test_an_expired_token_cannot_be_narrowed(client, service, key, logs):
    body = await get_token(client, key, expires_in="1")
    end = read_payload(body["access_token"])["exp"]
    while service.mirror.postgres_clock.now.timestamp() <= end:
        await asyncio.sleep(end - service.mirror.postgres_clock.now.timestamp() + 0.01)
    await _refused(client, body["access_token"], logs, "expired")


async def test_a_token_of_anybody_else_cannot_be_narrowed(client, key, logs, subtests):
    token = (await get_token(client, key))["access_token"]
    header, payload, signature = token.split(".")
    forger, _, _ = make_signing_key()
    forged = {
        "signed with a key of somebody else": (
            sign_jws(read_payload(token), typ="at+jwt", key=forger),
            "unknown_kid",
        ),
        "with the signature of another token": (
            ".".join(
                [header, payload, (await get_token(client, key))["access_token"].split(".")[2]]
            ),
            "bad_signature",
        ),
        "an API key": (key.key.text, "malformed_token"),
        "an unsigned token": (f"eyJhbGciOiJub25lIn0.{payload}.{signature}", "bad_header"),
        "without a signature": (f"{header}.{payload}.", "malformed_token"),
        "longer than any token": ("a" * 12_000 + ".b.c", "malformed_token"),
        "a page of the denylist": (await (await client.get("/v1/denylist")).text(), "wrong_type"),
    }
    for name, (text, reason) in forged.items():
        with subtests.test(msg=name):
            await _refused(client, text, logs, reason)


async def test_the_account_in_the_token_must_be_the_owner_of_its_key(
    client, service, key, database
):
    other = await make_key(database)
    claims = read_payload((await get_token(client, key))["access_token"]) | {
        "client_id": other.listed.record.id
    }
    signer = service.mirror.signers.find("ES256", service.mirror.postgres_clock.now)
    answer = await try_token(client, sign_jws(claims, typ="at+jwt", key=signer))
    assert answer.status == 400


async def _refused(client, token, logs, reason):
    answer = await try_token(client, token)
    assert answer.status == 400
    assert await answer.json() == {
        "error": "invalid_request",
        "error_description": "the subject_token is not accepted",
    }
    assert "WWW-Authenticate" not in answer.headers
    assert logs.find("request")[-1]["reason"] == reason
