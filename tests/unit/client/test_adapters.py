"""aiohttp, httpx and requests against a real relying party on loopback: each test runs with each library."""

from __future__ import annotations

import io
import subprocess
import sys

import aiohttp
import httpx
import pytest
import requests
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.unit.client.libraries import (
    LIBRARIES,
    Aiohttp,
    Requests,
    Unseekable,
    stream,
    stream_async,
)
from tests.unit.client.loopback import INVALID_TOKEN, KEY, Reply, refusal

from tokensvc.client import (
    BodyNotRepeatableError,
    HostNotAllowedError,
    KeyRejectedError,
    ThreadedTokenSource,
    TokenSource,
)
from tokensvc.client.aiohttp import BearerMiddleware
from tokensvc.client.httpx import BearerAuth as HttpxAuth
from tokensvc.client.requests import BearerAuth as RequestsAuth


@pytest.fixture(params=LIBRARIES)
def new_library(request, issuer, clock, party):
    def make(**options):
        return LIBRARIES[request.param](issuer, clock, **{"allowed_hosts": {party.host}, **options})

    return make


def test_a_request_carries_a_token(new_library, issuer, party):
    library = new_library(audience="orders-api", scope="orders:read")
    assert (
        library.send("POST", f"{party.url}/orders", b"one", times=3) == [(200, "token-1 one")] * 3
    )
    (asked,) = issuer.received
    assert (asked.form, asked.bearer) == ({"audience": "orders-api", "scope": "orders:read"}, KEY)
    assert party.bearers == ["token-1"] * 3


def test_a_refused_token_is_replaced_and_the_request_repeated_once(new_library, issuer, party):
    party.refused.add("token-1")
    assert new_library().send("POST", f"{party.url}/orders", b"one") == [(200, "token-2 one")]
    assert party.bearers == ["token-1", "token-2"]
    assert [request.body for request in party.received] == [b"one", b"one"]
    assert issuer.asked == 2


def test_many_requests_with_a_refused_token_cause_one_more_exchange(new_library, issuer, party):
    party.refused.add("token-1")
    assert new_library().send("POST", party.url, b"one", times=20) == [(200, "token-2 one")] * 20
    assert issuer.asked == 2


def test_a_relying_party_that_refuses_every_token_costs_two_of_them(new_library, issuer, party):
    party.refused |= {f"token-{number}" for number in range(100)}
    assert {status for status, _ in new_library().send("GET", party.url, times=5)} == {401}
    assert issuer.asked == 2


async def test_with_aiohttp_the_next_request_to_such_a_party_gets_its_401_at_once(
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


@pytest.mark.parametrize(
    "refusal_sent",
    [
        Reply(403, b"no", {"WWW-Authenticate": INVALID_TOKEN}),
        Reply(403, b"no", {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}),
        Reply(401, b"no", {"WWW-Authenticate": "Bearer"}),
        Reply(401, b"no", {"WWW-Authenticate": 'Basic realm="x"'}),
        Reply(401, b"no"),
        Reply(503, b"no", {"WWW-Authenticate": INVALID_TOKEN}),
    ],
    ids=lambda reply: f"{reply.status} {reply.headers.get('WWW-Authenticate')}",
)
def test_any_other_refusal_is_the_callers(refusal_sent, new_library, issuer, party):
    party.refused.add("token-1")
    party.refusal = refusal_sent
    assert new_library().send("GET", party.url) == [(refusal_sent.status, "no")]
    assert (issuer.asked, len(party.received)) == (1, 1)


def test_a_stream_is_not_repeated_and_the_next_request_has_a_new_token(new_library, issuer, party):
    library = new_library()
    body = stream_async if library.has_async_streams else stream
    party.refused.add("token-1")
    with pytest.raises(BodyNotRepeatableError, match="send the request again with a new body"):
        library.send("POST", party.url, body())
    assert (issuer.asked, len(party.received)) == (1, 1)
    party.refused.clear()
    assert library.send("POST", party.url, body()) == [(200, "token-2 a stream")]


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


def test_a_request_to_another_host_is_not_sent(new_library, issuer, party, other_party):
    for url in (
        other_party.url,
        f"http://localhost:{party.port}",
        "http://orders.example.com/",
        f"http://{party.host}@{other_party.host}/",
    ):
        with pytest.raises(HostNotAllowedError):
            new_library().send("GET", url)
    assert issuer.asked == 0
    assert other_party.received == party.received == []


def test_a_request_to_another_host_goes_without_a_token_if_that_is_asked_for(
    new_library, issuer, other_party
):
    assert new_library(elsewhere="no_token").send("GET", other_party.url) == [(200, "None ")]
    assert (issuer.asked, other_party.bearers) == (0, [None])


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_to_another_host_takes_no_token_along(status, new_library, party, other_party):
    party.redirects["/away"] = (status, f"{other_party.url}/there")
    assert new_library(elsewhere="no_token").send("GET", f"{party.url}/away") == [(200, "None ")]
    assert (party.bearers, other_party.bearers) == (["token-1"], [None])


def test_a_401_from_the_host_of_a_redirect_does_not_cost_the_token(
    new_library, issuer, party, other_party
):
    party.redirects["/away"] = (307, f"{other_party.url}/there")
    other_party.respond = lambda _request: other_party.refusal
    assert new_library(elsewhere="no_token").send("GET", f"{party.url}/away") == [(401, "no")]
    assert (issuer.asked, party.bearers, other_party.bearers) == (1, ["token-1"], [None])


def test_a_redirect_on_the_same_host_keeps_the_token(new_library, issuer, party):
    party.redirects["/old"] = (307, f"{party.url}/new")
    assert new_library().send("POST", f"{party.url}/old", b"one") == [(200, "token-1 one")]
    party.refused.add("token-2")
    assert new_library().send("POST", f"{party.url}/old", b"one") == [(200, "token-3 one")]
    assert issuer.asked == 3


def test_aiohttp_does_not_follow_a_redirect_to_another_host_unless_told(
    issuer, clock, party, other_party
):
    party.redirects["/away"] = (307, f"{other_party.url}/there")
    with pytest.raises(HostNotAllowedError):
        Aiohttp(issuer, clock, allowed_hosts={party.host}).send("GET", f"{party.url}/away")
    assert other_party.received == []


def test_without_a_token_the_request_is_not_sent_and_the_reason_is_told(new_library, issuer, party):
    issuer.replies.append(refusal(401, "invalid_client"))
    with pytest.raises(KeyRejectedError):
        new_library().send("GET", party.url)
    assert party.received == []


def test_if_the_second_token_cannot_be_had_the_reason_is_told(new_library, issuer, party):
    party.refused.add("token-1")
    library = new_library()
    issuer.rejected.clear()

    def respond(request):
        issuer.rejected.add(KEY)
        return Reply(401, b"no", {"WWW-Authenticate": INVALID_TOKEN}) if request.bearer else Reply()

    party.respond = respond
    with pytest.raises(KeyRejectedError):
        library.send("GET", party.url)
    assert len(party.received) == 1


def test_httpx_is_told_which_source_it_needs(issuer, clock, party):
    async_source = TokenSource(issuer=issuer.url, api_key=KEY, clock=clock)
    auth = HttpxAuth(async_source, allowed_hosts={party.host})
    with httpx.Client(auth=auth) as client, pytest.raises(TypeError, match="ThreadedTokenSource"):
        client.get(party.url)


async def test_httpx_is_told_which_source_it_needs_with_asyncio(issuer, clock, party):
    source = ThreadedTokenSource(issuer=issuer.url, api_key=KEY, clock=clock)
    auth = HttpxAuth(source, allowed_hosts={party.host})
    async with httpx.AsyncClient(auth=auth) as client:
        with pytest.raises(TypeError, match="TokenSource"):
            await client.get(party.url)


def test_the_api_key_is_not_seen_by_the_callers_session(issuer, clock, party):
    seen = []
    with ThreadedTokenSource(issuer=issuer.url, api_key=KEY, clock=clock) as source:
        auth = HttpxAuth(source, allowed_hosts={party.host})
        with httpx.Client(
            auth=auth, event_hooks={"request": [lambda request: seen.append(dict(request.headers))]}
        ) as client:
            client.get(party.url)
    assert len(seen) == 1
    assert KEY not in repr(seen)


def test_the_adapters_are_the_only_ones_that_need_httpx_or_requests():
    program = "import sys, tokensvc.client, tokensvc.client.aiohttp; print({'httpx', 'requests'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("kind", [BearerMiddleware, HttpxAuth, RequestsAuth])
def test_allowed_hosts_must_be_named(kind, issuer, clock):
    source = TokenSource(issuer=issuer.url, api_key=KEY, clock=clock)
    with pytest.raises(ValueError, match="allowed_hosts"):
        kind(source, allowed_hosts=())


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


def test_a_request_prepared_by_hand_is_judged_by_its_own_address(issuer, clock, party):
    with ThreadedTokenSource(issuer=issuer.url, api_key=KEY, clock=clock) as source:
        auth = RequestsAuth(source, allowed_hosts={party.host})
        with pytest.raises(HostNotAllowedError):
            auth(requests.PreparedRequest())
