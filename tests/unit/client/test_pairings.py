"""Which source an adapter takes, and what it says about the wrong one."""

from __future__ import annotations

import httpx
import pytest
from tests.unit.client.loopback import KEY
from tests.unit.client.programs import run_program

from tokensvc.client import ThreadedTokenSource, TokenSource
from tokensvc.client.aiohttp import BearerMiddleware
from tokensvc.client.httpx import BearerAuth as HttpxAuth
from tokensvc.client.requests import BearerAuth as RequestsAuth

NEEDS = {
    BearerMiddleware: "an aiohttp.ClientSession needs a TokenSource",
    RequestsAuth: "a requests.Session needs a ThreadedTokenSource",
    HttpxAuth: "an httpx.Client needs a ThreadedTokenSource, and "
    "an httpx.AsyncClient needs a TokenSource",
}


@pytest.fixture
def async_source(issuer):
    return TokenSource(issuer=issuer.url, api_key=KEY)


@pytest.fixture
def threaded_source(issuer):
    with ThreadedTokenSource(issuer=issuer.url, api_key=KEY) as source:
        yield source


@pytest.mark.parametrize("adapter", NEEDS)
def test_the_constructor_refuses_what_is_not_a_source(adapter, async_source):
    for wrong in (None, KEY, async_source.get_token):
        with pytest.raises(TypeError, match=f"^{NEEDS[adapter]}$"):
            adapter(wrong, allowed_hosts={"orders.example.com"})


@pytest.mark.parametrize(
    ("adapter", "kind"), [(BearerMiddleware, "threaded_source"), (RequestsAuth, "async_source")]
)
def test_the_constructor_refuses_the_source_of_the_other_kind(adapter, kind, request):
    with pytest.raises(TypeError, match=f"^{NEEDS[adapter]}$"):
        adapter(request.getfixturevalue(kind), allowed_hosts={"orders.example.com"})


def test_an_httpx_client_with_an_async_source_sends_nothing(async_source, party, issuer):
    auth = HttpxAuth(async_source, allowed_hosts={party.host})
    sentence = r"^an httpx.Client needs a ThreadedTokenSource$"
    with httpx.Client(auth=auth) as client, pytest.raises(TypeError, match=sentence):
        client.get(party.url)
    assert party.received == issuer.received == []


async def test_an_async_httpx_client_with_a_threaded_source_sends_nothing(
    threaded_source, party, issuer
):
    auth = HttpxAuth(threaded_source, allowed_hosts={party.host})
    async with httpx.AsyncClient(auth=auth) as client:
        with pytest.raises(TypeError, match=r"^an httpx.AsyncClient needs a TokenSource$"):
            await client.get(party.url)
    assert party.received == issuer.received == []


@pytest.mark.parametrize(
    ("adapter", "kind"),
    [
        (BearerMiddleware, "async_source"),
        (RequestsAuth, "threaded_source"),
        (HttpxAuth, "async_source"),
        (HttpxAuth, "threaded_source"),
    ],
)
def test_the_constructor_checks_its_options(adapter, kind, request):
    source = request.getfixturevalue(kind)
    with pytest.raises(ValueError, match="allowed_hosts"):
        adapter(source, allowed_hosts=())
    with pytest.raises(ValueError, match="elsewhere"):
        adapter(source, allowed_hosts={"orders.example.com"}, elsewhere="allow")
    with pytest.raises(TypeError, match="allowed_hosts"):
        adapter(source)


def test_httpx_and_requests_are_imported_by_their_own_adapter_only():
    program = (
        "import sys, tokensvc.client, tokensvc.client.aiohttp;"
        "print({'httpx', 'requests'} & set(sys.modules))"
    )
    assert run_program(program) == ["set()"]
