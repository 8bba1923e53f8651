"""An issuer whose certificate only those trust who were told: with both kinds of token source."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.unit.client.loopback import KEY

from tokensvc.client import IssuerUnavailableError, ThreadedTokenSource, TokenSource


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """A certificate for loopback that is its own CA, in the contexts of both sides."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    path.write_bytes(private + public)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(path)
    return serving, ssl.create_default_context(cadata=public.decode())


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
