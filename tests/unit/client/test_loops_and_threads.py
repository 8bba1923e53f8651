"""Several event loops, cancelled and interrupted callers, closing in mid-flight, TLS, and what only one kind of source has."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
import threading
import time

import pytest
import uvloop
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.unit.client.loopback import KEY, Reply, grant, refusal

from tokensvc.client import (
    IssuerUnavailableError,
    KeyUnreadableError,
    SourceClosedError,
    ThreadedTokenSource,
    TokenSource,
)
from tokensvc.client.exchange import request_token
from tokensvc.core.errors import InvalidClientError, InvalidRequestError, UnavailableError


@pytest.fixture
def source(issuer, clock):
    return TokenSource(issuer=issuer.url, api_key=KEY, clock=clock, sleep=clock.sleep_async)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_event_loops_one_after_another_share_the_tokens(new_loop, source, issuer):
    for _ in range(3):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            assert runner.run(source.get_token()) == "token-1"
    assert issuer.asked == 1


def test_event_loops_side_by_side_ask_once_each_at_most(source, issuer):
    tokens = []
    threads = [
        threading.Thread(target=lambda: tokens.append(asyncio.run(source.get_token())))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tokens) == 5
    assert 1 <= issuer.asked <= 5
    assert asyncio.run(source.get_token()) in tokens


async def test_a_caller_that_is_cancelled_does_not_end_the_exchange_for_others(source, issuer):
    issuer.gate.clear()
    callers = [asyncio.create_task(source.get_token()) for _ in range(3)]
    await asyncio.to_thread(issuer.arrived.acquire)
    callers[0].cancel()
    issuer.gate.set()
    assert await asyncio.gather(*callers[1:]) == ["token-1"] * 2
    assert callers[0].cancelled()
    assert issuer.asked == 1
    await source.close()


async def test_closing_ends_what_is_in_flight(source, issuer):
    issuer.gate.clear()
    async with source:
        caller = asyncio.create_task(source.get_token())
        await asyncio.to_thread(issuer.arrived.acquire)
    with pytest.raises(SourceClosedError):
        await caller


async def test_closing_ends_what_is_in_flight_in_another_loop_too(source, issuer, loop):
    issuer.gate.clear()
    caller = asyncio.run_coroutine_threadsafe(source.get_token(), loop.loop)
    await asyncio.to_thread(issuer.arrived.acquire)
    await source.close()
    with pytest.raises(SourceClosedError):
        await asyncio.wrap_future(caller)


async def test_an_event_loop_that_ended_in_mid_flight_hinders_nobody(source, issuer):
    issuer.gate.clear()

    def run_and_leave():
        left = asyncio.new_event_loop()
        task = left.create_task(source.get_token())
        left.run_until_complete(asyncio.wait({task}, timeout=0.02))
        for unfinished in asyncio.all_tasks(left):
            unfinished.cancel()
        left.run_until_complete(asyncio.wait({task}))
        left.close()
        return left

    left = await asyncio.to_thread(run_and_leave)
    issuer.gate.set()
    assert (await source.get_token()).startswith("token-")
    await source.close()
    del left


async def test_the_key_may_come_from_an_async_function(issuer):
    async def read():
        await asyncio.sleep(0)
        return KEY

    async with TokenSource(issuer=issuer.url, api_key=read) as source:
        assert await source.get_token() == "token-1"


async def test_a_key_function_that_hangs_is_given_up_on(issuer):
    async def hang():
        await asyncio.Event().wait()

    async with TokenSource(issuer=issuer.url, api_key=hang, timeout=0.01) as source:
        with pytest.raises(KeyUnreadableError, match=r"hang: TimeoutError"):
            await source.get_token()


def test_an_async_key_function_needs_the_async_source(issuer):
    async def read():
        return KEY

    with (
        ThreadedTokenSource(issuer=issuer.url, api_key=read) as source,
        pytest.raises(KeyUnreadableError, match="needs TokenSource"),
    ):
        source.get_token()


def test_a_thread_that_waits_gives_up_in_time_whatever_hangs(issuer):
    stuck = threading.Event()

    def hang():
        stuck.wait()
        return KEY

    with ThreadedTokenSource(
        issuer=issuer.url, api_key=hang, timeout=0.01, patience=0.01
    ) as source:
        with pytest.raises(IssuerUnavailableError, match="in time"):
            source.get_token()
        stuck.set()


def test_waiting_for_a_busy_issuer_ends_when_the_source_is_closed(issuer):
    issuer.replies += [refusal(503, "x", Retry_After="20")] * 9
    source = ThreadedTokenSource(issuer=issuer.url, api_key=KEY)
    closer = threading.Timer(0.05, source.close)
    began = time.monotonic()
    closer.start()
    with pytest.raises((IssuerUnavailableError, SourceClosedError)):
        source.get_token()
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("kind", [TokenSource, ThreadedTokenSource])
def test_a_fault_of_the_program_reaches_the_caller_and_hinders_no_later_call(kind, issuer):
    faults = [ZeroDivisionError()]

    def chance():
        if faults:
            raise faults.pop()
        return 0.5

    source = kind(issuer=issuer.url, api_key=KEY, chance=chance)

    def get():
        token = source.get_token()
        return token if isinstance(token, str) else asyncio.run(token)

    with pytest.raises(ZeroDivisionError):
        get()
    assert get() == "token-2"


@pytest.mark.parametrize("kind", [TokenSource, ThreadedTokenSource])
def test_what_arrives_after_closing_is_not_kept(kind, issuer):
    source = kind(issuer=issuer.url, api_key=KEY)
    source._state.close()
    source._state.keep(
        source._state.parse_wanted(None, None),
        source._state.build_key_failure(KeyUnreadableError("x")),
    )
    assert "tokens held: 0" in repr(source)


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """A certificate for loopback that only a client that was told trusts, and the contexts of both sides."""
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


async def test_an_issuer_with_a_private_ca_is_trusted_only_if_told(tls, tls_issuer, clock):
    async with TokenSource(issuer=tls_issuer, api_key=KEY, tls=tls[1]) as source:
        assert await source.get_token() == "t"
    async with TokenSource(issuer=tls_issuer, api_key=KEY, sleep=clock.sleep_async) as source:
        with pytest.raises(IssuerUnavailableError, match="CertificateError"):
            await source.get_token()


async def test_an_issuer_with_a_private_ca_is_trusted_only_if_told_with_threads_too(
    tls, tls_issuer, clock
):
    with ThreadedTokenSource(issuer=tls_issuer, api_key=KEY, tls=tls[1]) as source:
        assert await asyncio.to_thread(source.get_token) == "t"
    untold = ThreadedTokenSource(issuer=tls_issuer, api_key=KEY, sleep=clock.sleep)
    with untold, pytest.raises(IssuerUnavailableError, match="SSLCertVerificationError"):
        await asyncio.to_thread(untold.get_token)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal(401, "invalid_client"), InvalidClientError),
        (refusal(400, "invalid_scope"), InvalidRequestError),
        (refusal(429, "rate_limit_exceeded", Retry_After="1"), UnavailableError),
        (refusal(503, "temporarily_unavailable"), UnavailableError),
        (Reply(200, b"<html>"), UnavailableError),
    ],
)
async def test_a_single_request_is_answered_or_refused_without_a_second_try(reply, error, issuer):
    assert await request_token(issuer.url, KEY, {"scope": "a"}) == "token-1"
    issuer.replies.append(reply)
    with pytest.raises(error):
        await request_token(issuer.url, KEY, {})
    assert issuer.asked == 2


@pytest.mark.parametrize(
    ("url", "key", "error"),
    [
        ("http://a.example", KEY, InvalidRequestError),
        ("http://localhost", "a\nb", InvalidClientError),
    ],
)
async def test_a_single_request_is_not_sent_to_the_wrong_place_or_with_a_broken_key(
    url, key, error
):
    with pytest.raises(error):
        await request_token(url, key, {})


async def test_a_short_lived_token_is_refreshed_in_time(issuer, clock, source):
    issuer.replies += [grant("short", 2), grant("next", 2)]
    assert await source.get_token() == "short"
    clock.now += 1.01
    assert await source.get_token() == "next"
    await source.close()
