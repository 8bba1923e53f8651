"""`GET /v1/denylist` where followers must show a token."""

from __future__ import annotations

import asyncio

import pytest
from testbed.waiting import until
from tests import endings
from tests.factories import make_claims, make_settings, make_signing_key
from tests.integration.things import ACTOR, make_key, read_payload
from tests.web.asking import basic, get_own_token, get_token

from tokensvc.client import ThreadedTokenSource, TokenSource
from tokensvc.core.claims import build_payload
from tokensvc.core.token import sign_jws
from tokensvc.verify import ThreadedVerifier, Verifier

FOLLOW = ("tokensvc:denylist",)
CHALLENGE = (
    'Bearer error="invalid_token", '
    'error_description="the access token is invalid, expired or revoked"'
)
OTHER = CHALLENGE.replace(
    "invalid, expired or revoked", "for another audience: get one for the audience tokensvc"
)


@pytest.fixture
def settings(tmp_path, unused_tcp_port):
    return make_settings(
        port=unused_tcp_port,
        keys_dir=tmp_path / "keys",
        data_dir=tmp_path / "data",
        feed_authentication="required",
    )


@pytest.fixture
async def follower(database, client):
    """A key that may follow."""
    del client
    return await make_key(database, capabilities=FOLLOW)


async def poll(client, *headers, **query):
    return await client.get("/v1/denylist", params=query, headers=list(headers))


def bearer(text):
    return "Authorization", f"Bearer {text}"


async def test_a_token_with_the_capability_gets_pages_and_its_key_is_noted(client, follower, logs):
    token = await get_own_token(client, follower, *FOLLOW)
    answer = await poll(client, bearer(token))
    assert (answer.status, answer.content_type) == (200, "application/denylist+jwt")
    (line,) = [line for line in logs.find("request") if line["route"] == "/v1/denylist"]
    assert line["caller"] == follower.listed.record.id


async def test_who_shows_no_good_token_is_told_by_a_problem_document(
    client, follower, key, subtests
):
    forger, _, _ = make_signing_key()
    good = await get_own_token(client, follower, *FOLLOW)
    lacking = await get_own_token(client, key, "orders:read")
    elsewhere = (await get_token(client, follower, scope="tokensvc:denylist"))["access_token"]
    foreign = sign_jws(build_payload(make_claims(scope=FOLLOW)), typ="at+jwt", key=forger)
    cases = {
        "nothing": ([], 401, "missing_token", "Bearer"),
        "another scheme": (
            [basic(follower.listed.record.id, follower.key.text)],
            401,
            "missing_token",
            "Bearer",
        ),
        "an API key": ([bearer(follower.key.text)], 401, "invalid_token", CHALLENGE),
        "nothing after the scheme": (
            [("Authorization", "Bearer")],
            400,
            "invalid_request",
            None,
        ),
        "a foreign token": ([bearer(foreign)], 401, "invalid_token", CHALLENGE),
        "two tokens": ([bearer(good), bearer(good)], 400, "invalid_request", None),
        "a token for another audience": ([bearer(elsewhere)], 401, "invalid_token", OTHER),
        "a token without the capability": ([bearer(lacking)], 403, "insufficient_scope", None),
    }
    for name, (headers, status, code, challenge) in cases.items():
        with subtests.test(msg=name):
            answer = await poll(client, *headers)
            assert (answer.status, answer.content_type) == (status, "application/problem+json")
            problem = await answer.json()
            assert (problem["status"], problem["code"], problem["type"]) == (
                status,
                code,
                f"urn:tokensvc:problem:{code}",
            )
            assert challenge in {None, answer.headers["WWW-Authenticate"]}
            assert answer.headers["Cache-Control"] == "no-store"
            if status == 403:
                assert 'scope="tokensvc:denylist"' in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize("what", ["token", "key"])
async def test_a_follower_that_was_revoked_is_refused_as_soon_as_this_process_knows(
    what, client, follower, database, service
):
    token = await get_own_token(client, follower, *FOLLOW)
    assert (await poll(client, bearer(token))).status == 200
    if what == "token":
        await client.post("/v1/revoke", data={"token": token})
    else:
        await endings.disable_key(database, follower.listed.record.id, actor=ACTOR)
    await service.mirror.refresh_once()
    answer = await poll(client, bearer(token))
    assert (answer.status, (await answer.json())["code"]) == (401, "invalid_token")


async def test_a_history_that_goes_back_does_not_let_a_revoked_follower_in_again(
    client, follower, service, connection
):
    token = await get_own_token(client, follower, *FOLLOW)
    await client.post("/v1/revoke", data={"token": token})
    await service.mirror.refresh_once()
    await connection.execute("delete from denylist")
    await connection.execute(
        "update feed_head set seq = 0, tag = 'restored' where topic = 'denylist'"
    )
    await service.mirror.refresh_once()
    assert (await poll(client, bearer(token))).status == 401


async def test_a_verifier_that_is_given_a_token_source_follows(client, follower, key, settings):
    text = (await get_token(client, key))["access_token"]
    source = TokenSource(
        issuer=settings.issuer_url,
        api_key=follower.key.text,
        audience="tokensvc",
        scope="tokensvc:denylist",
    )
    async with (
        source,
        Verifier(
            issuer=settings.issuer_url, audience="api", feed_token=source.get_token
        ) as verifier,
    ):
        assert verifier.verify(text).jti == read_payload(text)["jti"]
        await client.post("/v1/revoke", data={"token": text})
        await until(lambda: verifier.status().denylist_entries == 1)


async def test_a_verifier_without_a_token_says_why_it_knows_no_denylist(client, settings):
    del client
    async with Verifier(issuer=settings.issuer_url, audience="api", http_timeout=1) as verifier:
        told = "the issuer answered 401 to the request for its denylist"
        await until(lambda: verifier.status().denylist_error == told)
        assert not verifier.status().ready


async def test_programs_without_an_event_loop_follow_too(client, follower, key, settings):
    text = (await get_token(client, key))["access_token"]

    def follow():
        with (
            ThreadedTokenSource(
                issuer=settings.issuer_url,
                api_key=follower.key.text,
                audience="tokensvc",
                scope="tokensvc:denylist",
            ) as source,
            ThreadedVerifier(
                issuer=settings.issuer_url, audience="api", feed_token=source.get_token
            ) as verifier,
        ):
            return verifier.verify(text).jti

    assert await asyncio.to_thread(follow) == read_payload(text)["jti"]


async def test_where_the_feed_is_open_a_token_is_optional_and_must_be_good(
    database, started, settings, new_client
):
    del database, started
    values = settings.model_dump(exclude={"feed_authentication", "database_url"}, exclude_none=True)
    client = await new_client(make_settings(**values))
    assert (await poll(client)).status == 200
    assert (await poll(client, bearer("junk"))).status == 401
