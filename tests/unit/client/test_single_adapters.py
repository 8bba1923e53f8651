"""What only one of the adapters does, because its library does."""

from __future__ import annotations

import io

import aiohttp
import httpx
import pytest
import requests
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.unit.client.libraries import Aiohttp, Requests, Unseekable
from tests.unit.client.loopback import INVALID_TOKEN, KEY

from tokensvc.client import (
    BodyNotRepeatableError,
    HostNotAllowedError,
    ThreadedTokenSource,
    TokenSource,
)
from tokensvc.client.aiohttp import BearerMiddleware
from tokensvc.client.httpx import BearerAuth as HttpxAuth
from tokensvc.client.requests import BearerAuth as RequestsAuth


async def test_aiohttp_returns_the_second_refusal_within_five_seconds_to_the_caller(
    issuer, clock, party
):
    party.refused |= {f"token-{number}" for number in range(100)}
    source = TokenSource(issuer=issuer.url, api_key=KEY, clock=clock)
    async with (
        source,
        aiohttp.ClientSession(
            middlewares=[BearerMiddleware(source, allowed_hosts={party.host})]
        ) as session,
    ):
        for _ in range(3):
            async with session.get(party.url) as response:
                assert (response.status, await response.text()) == (401, "no")
    assert (issuer.asked, len(party.received)) == (2, 4)


@pytest.mark.parametrize("kind", [Aiohttp, Requests])
def test_a_file_is_rewound_before_it_is_sent_again(kind, issuer, clock, party):
    party.refused.add("token-1")
    file = io.BytesIO(b"skipped a file")
    file.seek(8)
    library = kind(issuer, clock, allowed_hosts={party.host})
    assert library.send("POST", party.url, file) == [(200, "token-2 a file")]


async def test_aiohttp_repeats_a_form_with_a_file(issuer, clock, party):
    party.refused.add("token-1")
    form = aiohttp.FormData({"name": "orders"})
    form.add_field("file", io.BytesIO(b"a file"), filename="orders.txt")
    source = TokenSource(issuer=issuer.url, api_key=KEY, clock=clock)
    auth = BearerMiddleware(source, allowed_hosts={party.host})
    async with (
        source,
        aiohttp.ClientSession(middlewares=[auth]) as session,
        session.post(party.url, data=form) as response,
    ):
        assert response.status == 200
    first, second = party.received
    assert first.body == second.body
    assert b"a file" in second.body


def test_requests_does_not_repeat_what_comes_from_a_pipe(issuer, clock, party):
    party.refused.add("token-1")
    with pytest.raises(BodyNotRepeatableError):
        Requests(issuer, clock, allowed_hosts={party.host}).send(
            "POST", party.url, Unseekable(b"a pipe")
        )


def test_aiohttp_does_not_follow_a_redirect_to_another_host_by_default(
    issuer, clock, party, other_party
):
    party.redirects["/away"] = (307, f"{other_party.url}/there")
    with pytest.raises(HostNotAllowedError):
        Aiohttp(issuer, clock, allowed_hosts={party.host}).send("GET", f"{party.url}/away")
    assert other_party.received == []


async def test_aiohttp_repeats_although_the_refused_body_is_still_on_its_way(issuer, clock):
    """The relying party refuses before it has read the body."""
    got = []

    async def refuse_early(request):
        if request.headers["Authorization"] == "Bearer token-1":
            return web.Response(status=401, headers={"WWW-Authenticate": INVALID_TOKEN})
        got.append(len(await request.read()))
        return web.Response()

    app = web.Application(client_max_size=2**25)
    app.router.add_post("/", refuse_early)
    source = TokenSource(issuer=issuer.url, api_key=KEY, clock=clock)
    auth = BearerMiddleware(source, allowed_hosts={"127.0.0.1"})
    async with (
        TestServer(app) as server,
        source,
        aiohttp.ClientSession(middlewares=[auth], raise_for_status=True) as session,
    ):
        await (await session.post(server.make_url("/"), data=io.BytesIO(b"x" * 2**24))).read()
    assert got == [2**24]


def test_requests_refuses_a_prepared_request_without_an_address(issuer, clock, party):
    with ThreadedTokenSource(issuer=issuer.url, api_key=KEY, clock=clock) as source:
        auth = RequestsAuth(source, allowed_hosts={party.host})
        with pytest.raises(HostNotAllowedError):
            auth(requests.PreparedRequest())


def test_the_hooks_of_an_httpx_client_do_not_see_the_api_key(issuer, clock, party):
    seen = []
    with ThreadedTokenSource(issuer=issuer.url, api_key=KEY, clock=clock) as source:
        auth = HttpxAuth(source, allowed_hosts={party.host})
        with httpx.Client(
            auth=auth, event_hooks={"request": [lambda request: seen.append(dict(request.headers))]}
        ) as client:
            client.get(party.url)
    assert len(seen) == 1
    assert KEY not in repr(seen)
