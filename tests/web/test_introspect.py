"""`POST /v1/introspect` (RFC 7662)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests import endings
from tests.factories import make_claims, make_signing_key
from tests.integration.things import (
    ACTOR,
    make_key,
    make_refused_keys,
    open_exchange,
    read_header,
    read_payload,
)
from tests.web.asking import basic, get_own_token, get_token, try_token

from tokensvc.core.api_key import new_api_key
from tokensvc.core.claims import build_payload
from tokensvc.core.exchange import ExchangeRequest
from tokensvc.core.token import sign_jws
from tokensvc.issuer.admin import api_keys
from tokensvc.issuer.signing.emergency import revoke_signing_key_now
from tokensvc.issuer.signing.rotation import Urgency, rotate_once

DEAD = (200, {"active": False})
ASKER = ("tokensvc:introspect", "orders:read")
INVALID_CLIENT = {"error": "invalid_client", "error_description": "the API key is not accepted"}
NO_CLIENT = {
    "error": "invalid_client",
    "error_description": "no API key came: send the header `Authorization: Bearer <API key>`",
}
INVALID_TOKEN = {
    "error": "invalid_token",
    "error_description": "the access token is invalid, expired or revoked",
}


@pytest.fixture
async def asker(database, client):
    """A key that may introspect."""
    del client
    return await make_key(database, capabilities=ASKER)


@pytest.fixture
def introspect(client, asker):
    """Asks about a token with the asker's key; gives status and body."""

    async def ask(text, **fields):
        answer = await post(
            client, ("Authorization", f"Bearer {asker.key.text}"), token=text, **fields
        )
        assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == (
            "no-store",
            "no-cache",
        )
        return answer.status, await answer.json()

    return ask


async def post(client, *headers, **fields):
    return await client.post("/v1/introspect", data=fields, headers=list(headers))


def bearer(text):
    return "Authorization", f"Bearer {text}"


async def test_a_live_token_is_told_with_all_that_it_says(introspect, client, key, logs, asker):
    text = (await get_token(client, key))["access_token"]
    token = read_payload(text)
    status, body = await introspect(text)
    assert (status, body) == (200, {"active": True, "token_type": "Bearer", **token})
    assert set(body) == {
        "active",
        "token_type",
        "scope",
        "client_id",
        "exp",
        "iat",
        "sub",
        "aud",
        "iss",
        "jti",
    }
    (line,) = [line for line in logs.find("request") if line["route"] == "/v1/introspect"]
    assert (line["caller"], line["active"], line["jti"]) == (
        asker.listed.record.id,
        True,
        token["jti"],
    )


async def test_a_narrowed_token_tells_where_it_came_from_and_dies_with_that(
    introspect, client, key
):
    original = (await get_token(client, key))["access_token"]
    narrowed = (await get_token(client, original, scope="orders:read"))["access_token"]
    _, body = await introspect(narrowed)
    assert (body["active"], body["scope"], body["origin_jti"]) == (
        True,
        "orders:read",
        read_payload(original)["jti"],
    )
    await client.post("/v1/revoke", data={"token": original})
    assert await introspect(narrowed) == DEAD


async def test_a_plain_token_is_live_narrowed_and_revoked_as_others(introspect, client, key, admin):
    await admin("POST /v1/audiences", {"name": "legacy", "typ": "JWT"})
    original = (await get_token(client, key, audience="legacy"))["access_token"]
    narrowed = (await get_token(client, original, scope="orders:read"))["access_token"]
    for text in (original, narrowed):
        assert read_header(text)["typ"] == "JWT"
        assert (await introspect(text))[1]["active"]
    await client.post("/v1/revoke", data={"token": original})
    assert await introspect(narrowed) == DEAD


async def test_a_hint_changes_nothing(introspect, client, key, subtests):
    for hint in (
        "access_token",
        "refresh_token",
        "no_such_type",
    ):
        with subtests.test(msg=hint):
            text = (await get_token(client, key))["access_token"]
            assert (await introspect(text, token_type_hint=hint))[1]["active"]
            assert await introspect("junk", token_type_hint=hint) == DEAD


async def disable_and_enable(database, record):
    await endings.disable_key(database, record.id, actor=ACTOR)
    await api_keys.enable_key(database, record.id, actor=ACTOR)


ENDS = {
    "the key is disabled": lambda database, record: endings.disable_key(
        database, record.id, actor=ACTOR
    ),
    "the key is enabled again": disable_and_enable,
    "the key is revoked": lambda database, record: endings.revoke_key(
        database, record.id, actor=ACTOR
    ),
    "the key is deleted": lambda database, record: endings.delete_key(
        database, record.id, actor=ACTOR
    ),
    "its tokens are ended": lambda database, record: api_keys.update_key(
        database, record.id, api_keys.KeyChanges(), actor=ACTOR, revoke_tokens=True
    ),
    "the account is suspended": lambda database, record: endings.suspend_account(
        database, record.account_id, actor=ACTOR
    ),
    "the account is deleted": lambda database, record: endings.delete_account(
        database, record.account_id, actor=ACTOR
    ),
}


@pytest.mark.parametrize("what", ENDS)
async def test_a_token_is_not_active_from_the_very_moment_that_something_ends_it(
    what, introspect, client, key, database, service
):
    text = (await get_token(client, key))["access_token"]
    assert (await introspect(text))[1]["active"]
    async with service.mirror.refreshing:  # what this process has copied says nothing of it yet
        await ENDS[what](database, key.listed.record)
        assert await introspect(text) == DEAD


async def test_a_token_from_after_the_end_of_others_is_active(introspect, client, key, database):
    await disable_and_enable(database, key.listed.record)
    text = (await get_token(client, key))["access_token"]
    assert (await introspect(text))[1]["active"]


async def test_a_token_of_a_revoked_signing_key_is_not_active(
    introspect, client, key, database, settings, started
):
    text = (await get_token(client, key))["access_token"]
    kid = read_header(text)["kid"]
    await revoke_signing_key_now(database, settings, started.master_key, kid, actor=ACTOR)
    assert await introspect(text) == DEAD


async def test_a_denied_kid_is_enough_while_the_copy_still_trusts_the_key(
    introspect, client, key, database, settings, started, service
):
    text = (await get_token(client, key))["access_token"]
    async with service.mirror.refreshing:
        await revoke_signing_key_now(
            database, settings, started.master_key, read_header(text)["kid"], actor=ACTOR
        )
        assert await introspect(text) == DEAD


async def test_a_token_that_has_expired_is_not_active_even_if_verifiers_are_patient(
    introspect, client, key
):
    text = (await get_token(client, key, expires_in="1"))["access_token"]
    await asyncio.sleep(1.1)
    assert await introspect(text) == DEAD


@pytest.mark.parametrize("ahead", [-90, 3600])
async def test_f26_a_jump_of_the_clock_neither_ends_a_token_nor_brings_one_back(
    ahead, introspect, client, key, service
):
    text = (await get_token(client, key))["access_token"]
    gone = (await get_token(client, key, expires_in="1"))["access_token"]
    await asyncio.sleep(2.1)
    postgres_clock = service.mirror.postgres_clock
    async with service.mirror.refreshing:
        asked = postgres_clock.ask()
        wrong_at = postgres_clock.now + timedelta(seconds=ahead)
        postgres_clock.read_clock(wrong_at, asked)
        postgres_clock.renew(wrong_at, asked.on)
        assert postgres_clock.is_blocked
        assert (await introspect(text))[1]["active"]
        assert await introspect(gone) == DEAD


async def test_what_is_no_token_of_ours_is_not_active(introspect, client, key, subtests):
    forger, _, _ = make_signing_key()
    text = (await get_token(client, key))["access_token"]
    for name, shown in {
        "a foreign token": sign_jws(build_payload(make_claims()), typ="at+jwt", key=forger),
        "a page of the feed": await (await client.get("/v1/denylist")).text(),
        "a forged signature": text[:-8] + "AAAAAAAA",
        "the live API key": key.key.text,
        "an unknown API key": new_api_key().text,
        "junk": "junk",
        "dots": "a.b.c",
    }.items():
        with subtests.test(msg=name):
            assert await introspect(shown) == DEAD


async def test_a_token_of_a_signing_key_that_the_copy_has_not_seen_is_looked_for(
    introspect, key, database, settings, started, service
):
    """Another process rotates twice, to a key that this process has never seen, and signs."""
    urgency = Urgency(at_once=True, force=True)
    async with service.mirror.refreshing:
        for _ in range(2):
            await rotate_once(database, settings, started.master_key, actor=ACTOR, urgency=urgency)
        other = await open_exchange(database, settings, started)
        text = (await other.issue(ExchangeRequest(credential=key.key), "test")).text
        await other.ledger.close()
        assert read_header(text)["kid"] not in {r.kid for r in service.mirror.signers.records}
        asked = asyncio.create_task(introspect(text))
        await asyncio.sleep(0.05)
        assert not asked.done()
    assert (await asked)[1]["active"]


async def test_asking_counts_against_no_limit(client, database, key):
    asker = await make_key(database, capabilities=ASKER, per_minute=1)
    text = (await get_token(client, key))["access_token"]
    for _ in range(5):
        assert (await post(client, bearer(asker.key.text), token=text)).status == 200
    answer = await try_token(client, asker)
    assert answer.status == 200
    assert (await post(client, bearer(asker.key.text), token=text)).status == 200, (
        "nor does a used up limit stop it"
    )


async def test_who_shows_nothing_good_is_refused(client, asker, connection, database, subtests):
    forger, _, _ = make_signing_key()
    foreign = sign_jws(build_payload(make_claims(scope=ASKER)), typ="at+jwt", key=forger)
    refused = await make_refused_keys(database, connection)
    by_bearer, by_basic = (
        'Bearer realm="tokensvc", error="invalid_client"',
        'Basic realm="tokensvc", error="invalid_client"',
    )
    by_token = (
        f'Bearer error="invalid_token", error_description="{INVALID_TOKEN["error_description"]}"'
    )
    cases = {
        "nothing": ([], NO_CLIENT, by_bearer),
        "junk": ([bearer("junk")], INVALID_CLIENT, by_bearer),
        "another scheme": ([("Authorization", "Digest x")], NO_CLIENT, by_bearer),
        "an unknown key": ([bearer(new_api_key().text)], INVALID_CLIENT, by_bearer),
        "a key with the name of another": (
            [basic("key_other", asker.key.text)],
            INVALID_CLIENT,
            by_basic,
        ),
        "a foreign token": ([bearer(foreign)], INVALID_TOKEN, by_token),
        **{
            reason: ([bearer(key.key.text)], INVALID_CLIENT, by_bearer)
            for reason, key in refused.items()
        },
    }
    for name, (headers, body, challenge) in cases.items():
        with subtests.test(msg=name):
            answer = await post(client, *headers, token="x")
            assert (answer.status, await answer.json()) == (401, body)
            assert answer.headers["WWW-Authenticate"] == challenge
            assert answer.headers["Cache-Control"] == "no-store"


async def test_a_caller_whose_token_has_been_revoked_is_refused_at_once(client, asker, service):
    token = await get_own_token(client, asker, "tokensvc:introspect")
    async with service.mirror.refreshing:
        assert (await client.post("/v1/revoke", data={"token": token})).status == 200
        answer = await post(client, bearer(token), token=token)
    assert (answer.status, await answer.json()) == (401, INVALID_TOKEN)


async def test_who_lacks_the_capability_is_told_so(client, key, subtests):
    token = (await get_token(client, key))["access_token"]
    of_token = "the access token lacks a capability"
    of_key = "the API key lacks the capability tokensvc:introspect"
    for name, (header, description) in {
        "token": (bearer(await get_own_token(client, key, "orders:read")), of_token),
        "key": (bearer(key.key.text), of_key),
        "basic": (basic(key.listed.record.id, key.key.text), of_key),
    }.items():
        with subtests.test(msg=name):
            answer = await post(client, header, token=token)
            body = {"error": "insufficient_scope", "error_description": description}
            assert (answer.status, await answer.json()) == (403, body)
            assert 'scope="tokensvc:introspect"' in answer.headers["WWW-Authenticate"]


async def test_asking_about_nothing_is_a_malformed_request(introspect, client, asker):
    malformed = {
        "error": "invalid_request",
        "error_description": "token is required: the access token to ask about",
    }
    assert await introspect("") == (400, malformed)
    answer = await client.post("/v1/introspect?token=x", headers=[bearer(asker.key.text)])
    assert (answer.status, (await answer.json())["error"]) == (400, "invalid_request")
    answer = await client.post(
        "/v1/introspect", data=[("token", "a"), ("token", "b")], headers=[bearer(asker.key.text)]
    )
    assert (answer.status, (await answer.json())["error"]) == (400, "invalid_request")


async def test_two_credentials_are_a_malformed_request(client, asker):
    answer = await post(client, bearer(asker.key.text), bearer(asker.key.text), token="x")
    assert (answer.status, (await answer.json())["error"]) == (400, "invalid_request")


@pytest.mark.usefixtures("fresh_minute")
@pytest.mark.parametrize("kind", ["unknown key", "disabled key", "revoked token"])
async def test_t39_a_dead_credential_shown_again_and_again_is_refused_without_asking_postgres(
    kind, started, settings, new_client, database
):
    del started
    client = await new_client(settings.model_copy(update={"unknown_keys_per_minute": 2}))
    live = await make_key(database, capabilities=ASKER)
    dead = await make_key(database, capabilities=ASKER)
    text = new_api_key().text if kind == "unknown key" else dead.key.text
    if kind == "revoked token":
        text = (await get_token(client, dead))["access_token"]
        await client.post("/v1/revoke", data={"token": text})
    await endings.disable_key(database, dead.listed.record.id, actor=ACTOR)
    statuses = [(await post(client, bearer(text), token="x")).status for _ in range(3)]
    answer = await post(client, bearer(text), token="x")
    assert (statuses[:2], answer.status) == ([401, 401], 429)
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["RateLimit-Policy"] == '"dead-credentials";q=2;w=60'
    assert (await post(client, bearer(live.key.text), token="x")).status == 200
