"""Fetching from small real servers on loopback."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tokensvc.core.url import check_secure_url
from tokensvc.verify import FetchError
from tokensvc.verify._fetch import DEFAULT_MAX_AGE, MAX_JWKS_BYTES, Fetcher


@pytest.fixture
async def serve():
    """Serve one handler for every path; return the URL."""
    servers = []

    async def start(handler):
        app = web.Application()
        app.router.add_get("/{path:.*}", handler)
        servers.append(TestServer(app))
        await servers[-1].start_server()
        return str(servers[-1].make_url("/x"))

    yield start
    for server in servers:
        await server.close()


def answer(body=b"{}", status=200, **headers):
    async def handler(_request):
        return web.Response(
            body=body,
            status=status,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    return handler


@pytest.mark.parametrize(
    ("cache_control", "age"),
    [
        ("public, max-age=60", 60),
        ("max-age=0", 0),
        ("s-maxage=5,max-age=7", 7),
        ("s-max-age=5", DEFAULT_MAX_AGE),
        ("no-store", DEFAULT_MAX_AGE),
        ("max-age=-1", DEFAULT_MAX_AGE),
        ("Public, Max-Age=60", 60),
    ],
)
async def test_a_jwks_comes_with_its_etag_and_max_age(serve, cache_control, age):
    url = await serve(answer(b'{"keys":[]}', ETag='"e"', Cache_Control=cache_control))
    async with Fetcher(timeout=5) as fetcher:
        got = await fetcher.fetch_jwks(url, None)
    assert (got.document, got.etag, got.max_age) == (b'{"keys":[]}', '"e"', age)


@pytest.mark.parametrize(
    ("age", "seconds"), [("70", 70), ("0", 0), ("", 0), ("-1", 0), ("1e9", 0), ("soon", 0)]
)
async def test_a_jwks_from_a_cache_says_how_long_it_was_there(serve, age, seconds):
    url = await serve(answer(Age=age))
    async with Fetcher(timeout=5) as fetcher:
        assert (await fetcher.fetch_jwks(url, None)).age == seconds


async def test_a_jwks_is_kept_for_a_day_at_most(serve):
    url = await serve(answer(Cache_Control="max-age=999999999"))
    async with Fetcher(timeout=5) as fetcher:
        assert (await fetcher.fetch_jwks(url, None)).max_age == 86_400


async def test_an_unchanged_jwks_is_not_sent_again(serve):
    asked = []

    async def handler(request):
        asked.append(request.headers.get("If-None-Match"))
        return web.Response(status=304, headers={"Cache-Control": "max-age=9"})

    url = await serve(handler)
    async with Fetcher(timeout=5) as fetcher:
        got = await fetcher.fetch_jwks(url, '"e"')
        assert (got.document, got.etag, got.max_age) == (None, '"e"', 9)
        with pytest.raises(FetchError, match="304"):
            await fetcher.fetch_jwks(url, None)
    assert asked == ['"e"', None]


async def test_a_header_that_cannot_be_sent_is_a_failure_like_others(serve):
    url = await serve(answer())
    async with Fetcher(timeout=5) as fetcher:
        with pytest.raises(FetchError):
            await fetcher.fetch_jwks(url, '"a"\r\nX: y')


@pytest.mark.parametrize("status", [301, 302, 307, 308, 404, 429, 500, 503])
async def test_t16_redirects_and_errors_are_refused_and_never_followed(serve, status):
    hits = []

    async def elsewhere(request):
        hits.append(request.path)
        return web.Response(text="{}")

    target = await serve(elsewhere)
    url = await serve(answer(status=status, Location=target))
    async with Fetcher(timeout=5) as fetcher:
        with pytest.raises(FetchError, match=f"{status} to the request for its JWKS"):
            await fetcher.fetch_jwks(url, None)
        with pytest.raises(FetchError, match=f"{status} to the request for its denylist"):
            await fetcher.fetch_page(url, None, 30)
    assert hits == []


async def test_a_page_is_asked_for_by_cursor_and_wait(serve):
    asked = []

    async def handler(request):
        asked.append(dict(request.query))
        return web.Response(body=b"page\xff")

    url = await serve(handler)
    async with Fetcher(timeout=5) as fetcher:
        assert await fetcher.fetch_page(url, None, 30) == "page\ufffd"
        await fetcher.fetch_page(url, "7-a", 30)
    assert asked == [{}, {"after": "7-a", "wait": "30"}]


async def give_token():
    return "to.ke.n"


@pytest.mark.parametrize(
    "feed_token",
    [give_token, lambda: "to.ke.n", lambda: give_token()],
    ids=["async", "plain", "plain that returns a coroutine"],
)
async def test_the_feed_token_is_sent_to_the_feed_and_to_nothing_else(serve, feed_token):
    shown = []

    async def handler(request):
        shown.append(request.headers.get("Authorization"))
        return web.Response(body=b"{}")

    url = await serve(handler)
    async with Fetcher(timeout=5, feed_token=feed_token) as fetcher:
        await fetcher.fetch_page(url, "7-a", 30)
        await fetcher.fetch_jwks(url, None)
    assert shown == ["Bearer to.ke.n", None]


def fail_to_give():
    raise ValueError("secret")


@pytest.mark.parametrize(
    ("feed_token", "why"),
    [
        (fail_to_give, "feed_token failed: ValueError"),
        (lambda: asyncio.sleep(60), "feed_token failed: TimeoutError"),
        (lambda: None, "feed_token returned something that is not a token"),
        (lambda: "", "feed_token returned something that is not a token"),
        (lambda: "a\r\nX-Evil: 1", "feed_token returned something that is not a token"),
    ],
)
async def test_a_feed_token_that_cannot_be_had_makes_the_fetch_fail(serve, feed_token, why):
    url = await serve(answer())
    async with Fetcher(timeout=0.2, feed_token=feed_token) as fetcher:
        with pytest.raises(FetchError) as failed:
            await fetcher.fetch_page(url, None, 0)
    assert str(failed.value) == why


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
async def test_t16_an_answer_that_is_too_large_is_refused(serve, packed):
    fits, exceeds = b"a" * MAX_JWKS_BYTES, b"a" * (MAX_JWKS_BYTES + 1)
    headers = {"Content_Encoding": "gzip"} if packed else {}
    urls = [
        await serve(answer(gzip.compress(body) if packed else body, **headers))
        for body in (fits, exceeds)
    ]
    async with Fetcher(timeout=5) as fetcher:
        assert (await fetcher.fetch_jwks(urls[0], None)).document == fits
        with pytest.raises(FetchError, match="larger than 262144 bytes"):
            await fetcher.fetch_jwks(urls[1], None)


async def test_an_issuer_that_never_answers_is_not_waited_for(serve):
    never = asyncio.Event()

    async def handler(_request):
        await never.wait()
        return web.Response()

    url = await serve(handler)
    async with Fetcher(timeout=0.05) as fetcher:
        with pytest.raises(FetchError, match="cannot be reached: TimeoutError"):
            await fetcher.fetch_jwks(url, None)
        with pytest.raises(FetchError, match="cannot be reached: TimeoutError"):
            await fetcher.fetch_page(url, "1-a", 0)
    never.set()


async def test_an_issuer_that_does_not_exist_cannot_be_reached(unused_tcp_port):
    async with Fetcher(timeout=5) as fetcher:
        with pytest.raises(
            FetchError, match=r"cannot be reached: \w+Error \(.*Connect call failed"
        ):
            await fetcher.fetch_jwks(f"http://127.0.0.1:{unused_tcp_port}/", None)


async def test_a_fetcher_that_was_not_opened_fetches_nothing():
    fetcher = Fetcher(timeout=5)
    await fetcher.__aexit__(None, None, None)
    with pytest.raises(FetchError, match="has not been started"):
        await fetcher.fetch_jwks("http://127.0.0.1:1/", None)


@pytest.mark.parametrize(
    "url",
    [
        "https://auth.example.com/x",
        "http://127.0.0.1:8080/x",
        "http://localhost/x",
        "http://[::1]:80/x",
        "HTTP://LOCALHOST",
    ],
)
def test_https_or_loopback_is_accepted(url):
    assert check_secure_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://auth.example.com/x",
        "http://127.0.0.1@evil.example/x",
        "http://127.0.0.1.evil.example",
        "ftp://127.0.0.1/x",
        "file:///etc",
        "data:application/json,{}",
        "gopher://127.0.0.1/x",
        "https://",
        "x",
        "",
    ],
)
def test_t16_keys_are_never_fetched_without_encryption(url):
    with pytest.raises(ValueError, match=r"is no http|must be https"):
        check_secure_url(url)


async def test_a_question_about_the_audit_trail_names_its_number(serve):
    async def handler(request):
        return web.Response(text=request.query_string)

    async with Fetcher(timeout=5) as fetcher:
        assert await fetcher.fetch_audit_head(await serve(handler), 7) == "number=7"
        with pytest.raises(FetchError, match="answered 503 to a question about its audit trail"):
            await fetcher.fetch_audit_head(await serve(answer(status=503)), 7)
