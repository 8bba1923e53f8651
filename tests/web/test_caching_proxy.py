"""Followers behind a caching proxy: docs/decisions/0013."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest
from testbed.waiting import until
from tests.factories import make_settings
from tests.integration.things import make_key, read_payload
from tests.web.asking import get_own_token, get_token
from tests.web.caching_proxy import caching_proxy

from tokensvc.core.errors import InvalidTokenError, VerifierUnavailableError
from tokensvc.verify import Verifier

FEED, JWKS = "/v1/denylist", "/.well-known/jwks.json"


@pytest.fixture
async def proxy(client, settings):
    del client
    async with caching_proxy(settings.issuer_url) as running:
        yield running


def follow(settings, proxy, **options):
    return Verifier(
        issuer=settings.issuer_url,
        audience="api",
        jwks_url=proxy.url + JWKS,
        denylist_url=proxy.url + FEED,
        **options,
    )


def can_verify(verifier):
    """On a busy machine its first page may come only after it has begun."""
    return verifier.status().denylist_cursor is not None


def is_refused(verifier, token):
    try:
        verifier.verify(token)
    except InvalidTokenError as error:
        return error.reason == "revoked_jti"
    return False


async def test_a_follower_behind_it_learns_of_every_revocation_at_once(
    client, key, settings, proxy
):
    tokens = [(await get_token(client, key))["access_token"] for _ in range(5)]
    async with follow(settings, proxy) as early:
        await until(lambda: can_verify(early))
        for token in tokens:
            early.verify(token)
            assert (await client.post("/v1/revoke", data={"token": token})).status == 200
            await until(lambda token=token: is_refused(early, token))
        async with follow(settings, proxy) as late:
            await until(lambda: can_verify(late))
            assert all(is_refused(late, token) for token in tokens)
        assert early.status().denylist_error is None
    assert (proxy.from_cache[FEED], proxy.revalidated[FEED]) == (0, 0), "it is a wire for the feed"
    assert proxy.from_origin[FEED] > 5
    assert (proxy.from_origin[JWKS], proxy.from_cache[JWKS]) == (1, 1), "and a cache for the keys"


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"wait": "0"},
        {"after": "HEAD", "wait": "0"},
        {"after": "HEAD", "wait": "1"},
        {"after": "0-none"},
    ],
)
async def test_a_page_that_comes_through_it_is_as_fresh_as_one_from_the_issuer(
    query, client, key, proxy, service
):
    token = (await get_token(client, key))["access_token"]
    await client.post("/v1/revoke", data={"token": token})
    await service.mirror.refresh_once()
    asked = {
        name: value.replace("HEAD", str(service.mirror.denylist.log.head))
        for name, value in query.items()
    }
    dates = []
    async with aiohttp.ClientSession() as session:
        for _ in range(3):
            asked_at = time.time()
            async with session.get(proxy.url + FEED, params=asked) as answer:
                assert (
                    answer.status,
                    answer.headers["Cache-Control"],
                    "Age" in answer.headers,
                ) == (200, "no-store", False)
                dates.append(read_payload(await answer.text())["iat"])
                assert dates[-1] > asked_at - 2.5
            await asyncio.sleep(0.6)
    assert dates == sorted(dates)
    assert dates[-1] > dates[0]


async def test_the_published_documents_are_kept_and_revalidated(
    client, proxy, started, settings, new_client, unused_tcp_port_factory
):
    del client, started
    eager = make_settings(
        **settings.model_dump(exclude={"database_url", "port", "jwks_max_age"}, exclude_none=True),
        port=unused_tcp_port_factory(),
        jwks_max_age=0,
    )
    await new_client(eager)
    async with aiohttp.ClientSession() as session, caching_proxy(eager.issuer_url) as strict:
        for through in (proxy, strict):
            bodies = []
            for _ in range(3):
                async with session.get(through.url + JWKS) as answer:
                    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (
                        200,
                        "*",
                    )
                    bodies.append(await answer.read())
            assert len(set(bodies)) == 1
    assert (proxy.from_origin[JWKS], proxy.from_cache[JWKS], proxy.revalidated[JWKS]) == (1, 2, 0)
    assert (strict.from_origin[JWKS], strict.from_cache[JWKS], strict.revalidated[JWKS]) == (
        3,
        0,
        2,
    )


async def test_a_proxy_that_keeps_pages_in_spite_of_all_can_only_make_a_follower_refuse(
    client, key, settings
):
    tokens = [(await get_token(client, key))["access_token"] for _ in range(2)]
    options = {"feed_wait": 0, "http_timeout": 3.0, "max_staleness": 6.0, "leeway": 0.0}
    async with (
        caching_proxy(settings.issuer_url, obeys=False) as proxy,
        follow(settings, proxy, **options) as verifier,
    ):
        await until(lambda: verifier.status().ready)
        verifier.verify(tokens[0])
        await client.post("/v1/revoke", data={"token": tokens[0]})
        await until(lambda: not verifier.status().ready)
        assert proxy.from_cache[FEED] > 0
        for token in tokens:
            with pytest.raises(VerifierUnavailableError) as stale:
                verifier.verify(token)
            assert stale.value.reason == "denylist_stale"


async def test_what_one_follower_may_have_is_not_given_to_another(
    database, started, settings, new_client
):
    del started
    values = settings.model_dump(exclude={"database_url", "feed_authentication"}, exclude_none=True)
    client = await new_client(make_settings(**values, feed_authentication="required"))
    follower = await make_key(database, capabilities=["tokensvc:denylist"])
    token = await get_own_token(client, follower, "tokensvc:denylist")
    good = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as session:
        for obeys in (True, False):
            async with caching_proxy(settings.issuer_url, obeys=obeys) as proxy:
                statuses = []
                for headers in (good, {}, {"Authorization": "Bearer x"}, good):
                    async with session.get(proxy.url + FEED, headers=headers) as answer:
                        statuses.append(answer.status)
                        assert answer.status != 200 or "Authorization" in answer.headers["Vary"]
                assert statuses == [200, 401, 401, 200]
