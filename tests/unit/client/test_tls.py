"""An issuer whose certificate only those trust who were told: with both kinds of token source."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from testbed.certificates import make_certificate
from tests.unit.client.loopback import KEY

from tokensvc.client import IssuerUnavailableError, ThreadedTokenSource, TokenSource


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """A certificate for loopback that is its own CA, in the contexts of both sides."""
    made = make_certificate(tmp_path_factory.mktemp("tls"))
    return made.serving, ssl.create_default_context(cafile=made.authority)


@pytest.fixture
async def tls_issuer(tls):
    async def answer(_request):
        return web.json_response({"access_token": "t", "token_type": "Bearer", "expires_in": 600})

    app = web.Application()
    app.router.add_post("/v1/token", answer)
    server = TestServer(app, scheme="https", host="localhost")
    await server.start_server(ssl=tls[0])
    yield f"https://localhost:{server.port}"
    await server.close()


async def get_token(kind, **options):
    source = kind(api_key=KEY, **options)
    if isinstance(source, TokenSource):
        async with source:
            return await source.get_token()
    with source:
        return await asyncio.to_thread(source.get_token)


@pytest.mark.parametrize("kind", [TokenSource, ThreadedTokenSource])
async def test_an_issuer_with_a_private_ca_is_trusted_only_with_the_option_tls(
    kind, tls, tls_issuer, clock
):
    assert await get_token(kind, issuer=tls_issuer, tls=tls[1]) == "t"
    with pytest.raises(IssuerUnavailableError, match="CertificateError"):
        await get_token(kind, issuer=tls_issuer, sleep=clock.sleep)
