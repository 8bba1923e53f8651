"""A notice never reaches what only the service may reach, however the receiver is written."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.factories import NOW

from tokensvc.core.notices.destination import parse_networks
from tokensvc.core.notices.event import Notice
from tokensvc.core.notices.payload import new_secret
from tokensvc.issuer.notices.resolving import Resolver
from tokensvc.issuer.notices.webhook import WebhookSender

NOTICE = Notice(
    number=1,
    id="ntc_1",
    at=NOW,
    name="key.created",
    account_id=None,
    subject="key_1",
    subject_number=1,
    detail={},
)
# Loopback and the metadata of a cloud, in every form that a resolver understands.
FORMS = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001",
    "0", "0.0.0.0", "localhost", "LOCALHOST", "[::1]", "[::]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::127.0.0.1]",
    "169.254.169.254", "0xa9fea9fe", "2852039166", "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "10.0.0.1", "10.1", "192.168.1.1",
    "172.16.0.1", "100.64.0.1", "[fd00::1]", "[fe80::1]", "224.0.0.1", "255.255.255.255",
]  # fmt: skip


class Server:
    """Counts who comes, and answers what a test says."""

    def __init__(self):
        self.seen: list[web.Request] = []
        self.answer = lambda: web.Response(status=200)
        app = web.Application()
        app.router.add_route("*", "/{any:.*}", self._handle)
        self.server = TestServer(app)

    async def _handle(self, request):
        self.seen.append(request)
        return self.answer()

    @property
    def port(self):
        return self.server.port


@pytest.fixture
async def server():
    made = Server()
    await made.server.start_server()
    yield made
    await made.server.close()


async def send(url, *, allowed="", resolve=None, seconds=3.0):
    resolver = Resolver()
    sender = WebhookSender(resolve or resolver, allowed=parse_networks(allowed), seconds=seconds)
    try:
        return await sender.send(url, [new_secret()], NOTICE, NOW)
    finally:
        await sender.close()
        resolver.close()


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("host", FORMS)
async def test_t45_no_form_of_an_inner_address_is_connected_to(server, host, scheme):
    outcome = await send(f"{scheme}://{host}:{server.port}/")
    # What a resolver does not understand leads nowhere either.
    assert outcome.error in {"address_refused", "unknown_host"}
    assert outcome.status is None
    assert server.seen == []


async def test_t45_a_name_that_leads_inside_is_refused_also_if_it_led_outside_before(server):
    answers = iter([["93.184.216.34"], ["127.0.0.1"], ["127.0.0.1"]])
    asked = []

    async def rebind(host, _port):
        asked.append(host)
        return next(answers)

    # It is asked once for each delivery, and the connection goes where the answer said.
    outcome = await send(f"https://rebind.example:{server.port}/", resolve=rebind, seconds=0.3)
    assert outcome.error in {"timeout", "no_answer"}
    assert asked == ["rebind.example"]
    outcome = await send(f"https://rebind.example:{server.port}/", resolve=rebind)
    assert outcome.error == "address_refused"
    assert server.seen == []


async def test_of_several_addresses_only_those_that_may_be_are_tried(server):
    async def resolve(_host, _port):
        return ["10.0.0.1", "127.0.0.2", "127.0.0.1", "169.254.169.254"]

    url = f"http://hooks.example:{server.port}/x?y=z"
    outcome = await send(url, allowed="127.0.0.1", resolve=resolve)
    assert outcome.is_delivered
    (request,) = server.seen
    assert request.headers["Host"] == f"hooks.example:{server.port}"
    assert request.path_qs == "/x?y=z"
    assert request.headers["Webhook-Id"] == "ntc_1"


async def test_the_next_address_is_tried_if_the_first_one_does_not_listen(server):
    async def resolve(_host, _port):
        return ["127.0.0.9", "127.0.0.1"]

    url = f"http://hooks.example:{server.port}/"
    assert (await send(url, allowed="127.0.0.0/8", resolve=resolve)).is_delivered


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_t45_no_redirect_is_followed(server, status):
    there = f"http://127.0.0.1:{server.port}/there"
    server.answer = lambda: web.Response(status=status, headers={"Location": there})
    outcome = await send(f"http://127.0.0.1:{server.port}/", allowed="127.0.0.1")
    assert (outcome.is_delivered, outcome.error, outcome.status) == (False, "redirect", status)
    assert len(server.seen) == 1


async def test_without_tls_only_what_the_operator_allows_is_reached():
    async def resolve(_host, _port):
        return ["93.184.216.34"]

    assert (await send("http://hooks.example/", resolve=resolve)).error == "address_refused"


async def test_proxies_in_the_environment_are_not_used(server, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    url = f"http://127.0.0.1:{server.port}/"
    assert (await send(url, allowed="127.0.0.1")).is_delivered


async def test_cookies_are_not_kept(server):
    def answer():
        response = web.Response()
        response.set_cookie("a", "b")
        return response

    server.answer = answer
    resolver = Resolver()
    sender = WebhookSender(resolver, allowed=parse_networks("127.0.0.1"))
    for _ in range(2):
        await sender.send(f"http://127.0.0.1:{server.port}/", [new_secret()], NOTICE, NOW)
    await sender.close()
    resolver.close()
    assert "Cookie" not in server.seen[1].headers


async def serve_raw(talk):
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def test_a_body_without_end_is_not_read():
    sent = 0

    async def talk(reader, writer):
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        try:
            while sent < 2**26:
                writer.write(b"x" * 2**16)
                sent += 2**16
                await writer.drain()
        except OSError:
            pass
        writer.close()

    server, url = await serve_raw(talk)
    assert (await send(url, allowed="127.0.0.1")).is_delivered
    await asyncio.sleep(0.1)
    assert sent < 2**25  # what fits into the buffers of two sockets
    server.close()


@pytest.mark.parametrize("answer", [b"junk\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 99999])
async def test_what_is_no_answer_is_a_failure(answer):
    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server, url = await serve_raw(talk)
    assert (await send(url, allowed="127.0.0.1")).error == "no_answer"
    server.close()


async def test_a_receiver_that_says_nothing_costs_the_time_that_is_set():
    gone = asyncio.Event()

    async def talk(_reader, writer):
        await gone.wait()
        writer.close()

    server, url = await serve_raw(talk)
    assert (await send(url, allowed="127.0.0.1", seconds=0.2)).error == "timeout"
    gone.set()
    server.close()


async def test_a_receiver_without_a_certificate_that_is_believed_is_a_failure(server):
    url = f"https://127.0.0.1:{server.port}/"
    assert (await send(url, allowed="127.0.0.1")).error in {"tls", "no_answer"}
    assert server.seen == []


async def test_a_name_that_nobody_knows_is_a_failure(monkeypatch):
    def fail(*_args, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "nobody knows it")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert (await send("https://nowhere.invalid/")).error == "unknown_host"
