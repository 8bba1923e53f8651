"""The options of a verifier: defaults, contradictions, the clock and the hook for metrics."""

from __future__ import annotations

import asyncio
import inspect
import os
import socket
from typing import Self

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.factories import ISSUER
from tests.simulator import SimulatedIssuer, reason_of, simulated

from tokensvc.verify import (
    FetchError,
    InvalidTokenError,
    JwksAnswer,
    ThreadedVerifier,
    Verifier,
    VerifierUnavailableError,
)
from tokensvc.verify.testing import FakeIssuer


@pytest.mark.parametrize(
    "options",
    [
        {"issuer": ""},
        {"audience": ""},
        {"audience": ()},
        {"audience": ["api"]},
        {"audience": ("api", "")},
        {"audience": ("api", 7)},
        {"audience": {"api"}},
        {"typ": "jwt"},
        {"algorithms": ()},
        {"algorithms": ("none",)},
        {"algorithms": ("ES256", "HS256")},
        {"algorithms": "ES256"},
        {"leeway": -1},
        {"leeway": 61},
        {"when_stale": "ignore"},
        {"max_staleness": 35},
        {"feed_wait": 60},
        {"issuer": "http://auth.example.com"},
        {"issuer": "auth.example.com"},
        {"jwks_url": "http://auth.example.com/jwks.json"},
        {"denylist_url": "ftp://127.0.0.1/denylist"},
    ],
    ids=lambda options: "{}={}".format(*next(iter(options.items()))),
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError):  # noqa: PT011 - each says its own
        Verifier(**{"issuer": ISSUER, "audience": "api"} | options)


@pytest.mark.parametrize("kind", [Verifier, ThreadedVerifier])
def test_an_unknown_or_missing_option_is_a_type_error(kind):
    with pytest.raises(TypeError, match="unheard_of"):
        kind(issuer=ISSUER, audience="api", unheard_of=1)
    with pytest.raises(TypeError, match="audience"):
        kind(issuer=ISSUER)


def test_the_threaded_verifier_takes_every_option_and_both_show_them_to_editors():
    signature = inspect.signature(Verifier)
    assert inspect.signature(ThreadedVerifier) == signature
    assert {"issuer", "audience", "clock"} <= set(signature.parameters)
    assert "self" not in signature.parameters


class AskedUrls:
    """Stands where `Fetcher` does. Notes what is asked for, and has no answer."""

    def __init__(self) -> None:
        self.urls: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def fetch_jwks(self, url: str, etag: str | None) -> JwksAnswer:
        self.urls.add(url)
        issuer = FakeIssuer()
        assert etag is None
        return issuer.answer_jwks()

    async def fetch_page(self, url: str, after: str | None, wait: int) -> str:
        self.urls.add(url)
        raise FetchError(f"nothing after {after} within {wait} s")

    async def fetch_audit_head(self, url: str, number: int) -> str:
        raise FetchError(f"nothing about {number} at {url}")


@pytest.mark.parametrize(
    ("options", "urls"),
    [
        (
            {"issuer": "https://auth.example.com/"},
            {
                "https://auth.example.com/.well-known/jwks.json",
                "https://auth.example.com/v1/denylist",
            },
        ),
        (
            {
                "issuer": "https://auth.example.com",
                "jwks_url": "https://keys.example.com/",
                "denylist_url": "https://feed.example.com/",
            },
            {"https://keys.example.com/", "https://feed.example.com/"},
        ),
    ],
    ids=["default", "given"],
)
@simulated
async def test_keys_and_feed_are_below_the_issuer_unless_their_urls_are_given(options, urls):
    fetcher = AskedUrls()
    async with Verifier(audience="api", fetcher=fetcher, **options):
        assert fetcher.urls == urls


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, f"orders-api@my-host-{os.getpid()}"),
        ({"follower": "shop"}, "shop"),
        ({"follower": ""}, None),
    ],
    ids=["default", "given", "none wanted"],
)
async def test_the_issuer_is_told_the_name_of_the_follower(monkeypatch, options, name):
    monkeypatch.setattr(socket, "gethostname", lambda: "my host")
    issuer = FakeIssuer()
    names: asyncio.Queue[str | None] = asyncio.Queue()

    async def answer_jwks(_request: web.Request) -> web.Response:
        return web.Response(body=issuer.jwks)

    async def answer_page(request: web.Request) -> web.Response:
        if "after" in request.query:
            names.put_nowait(request.query.get("follower"))
        return web.Response(text=issuer.page(request.query.get("after")))

    app = web.Application()
    app.router.add_get("/.well-known/jwks.json", answer_jwks)
    app.router.add_get("/v1/denylist", answer_page)
    async with TestServer(app) as server:
        issuer.issuer = str(server.make_url("")).removesuffix("/")
        async with Verifier(issuer=issuer.issuer, audience="orders api", **options):
            assert await asyncio.wait_for(names.get(), 10) == name


def test_a_verifier_can_be_made_outside_a_loop_and_uses_the_clock_of_the_system():
    issuer = FakeIssuer()  # its clock is the system's
    verifier = Verifier(issuer=issuer.issuer, audience="api")
    assert not verifier.status().ready
    verifier.take(jwks=issuer.answer_jwks(), page=issuer.page())
    assert verifier.status().ready
    assert reason_of(verifier, issuer.token()) is None
    assert reason_of(verifier, issuer.expired_token()) == "expired"


@simulated
async def test_f27_a_clock_that_is_off_by_less_than_the_leeway_refuses_nothing():
    issuer = SimulatedIssuer()
    for skew in (-29.0, -5.0, 5.0, 29.0):
        async with issuer.make_verifier(skew=skew) as verifier:
            for _ in range(2500):
                await asyncio.sleep(0.5)
                assert reason_of(verifier, issuer.issue()[0]) is None


@simulated
async def test_the_hook_hears_the_outcome_of_every_verification():
    issuer = SimulatedIssuer()
    outcomes: list[str] = []
    verifier = issuer.make_verifier(on_verify=outcomes.append)
    token, _ = issuer.issue()
    issuer.down = True
    async with verifier:
        with pytest.raises(VerifierUnavailableError):
            verifier.verify(token)
        issuer.down = False
        await asyncio.sleep(10)
        verifier.verify(token)
        verifier.verify(token)
        for bad in (issuer.tampered(), "junk"):
            with pytest.raises(InvalidTokenError):
                verifier.verify(bad)
        issuer.revoke(token=token)
        await asyncio.sleep(1)
        with pytest.raises(InvalidTokenError):
            verifier.verify(token)
    assert outcomes == ["no_keys", "ok", "ok", "bad_signature", "malformed_token", "revoked_jti"]
