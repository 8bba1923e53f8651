"""Proxies with the files of `deploy/proxy/` in front of two replicas, as clients see them."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from testbed.ports import find_free_port
from testbed.proxies import PROXIES, Ports, Proxy, make_certificate
from testbed.relying_party import RelyingParty
from testbed.waiting import PATIENCE, until, wait_until

from tests.e2e.calls import call, new_key, new_keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.processes import ServiceProcess

CLIENTS = 8
FORGED = "203.0.113.9"


@dataclass(frozen=True)
class Front:
    """Two replicas behind a proxy."""

    ports: Ports
    first: ServiceProcess
    second: ServiceProcess
    trust: ssl.SSLContext
    proxy: Proxy

    @property
    def public(self) -> str:
        return f"https://localhost:{self.ports.public}"

    @property
    def operators(self) -> str:
        return f"https://localhost:{self.ports.operators}"

    def ask(self, url: str, key: str = "", body: object = None) -> tuple[int, Any]:
        """GET, or POST if there is a body; return status and what was answered.

        It claims to come from another address.
        """
        headers = {"Content-Type": "application/json", "X-Forwarded-For": FORGED}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.trust)
        )
        try:
            with opener.open(request, timeout=PATIENCE) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def exchange(self, key: str) -> str:
        """Return a token; the body of the request is empty."""
        request = urllib.request.Request(
            f"{self.public}/v1/token", b"", {"Authorization": f"Bearer {key}"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE, context=self.trust) as answer:
            return str(json.loads(answer.read())["access_token"])

    def answers(self) -> bool:
        """Tell whether the proxy has found a replica that is ready."""
        try:
            return self.ask(f"{self.public}/.well-known/jwks.json")[0] == 200
        except OSError:
            return False


@pytest.fixture(params=PROXIES, ids=[proxy.name for proxy in PROXIES])
def front(
    request: pytest.FixtureRequest,
    new_process: Any,
    new_database_url: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Front]:
    proxy: Proxy = request.param
    if proxy.find() is None:
        pytest.skip(f"NOTHING WAS SENT THROUGH {proxy.name.upper()}: it is not installed")
    certificate = make_certificate(tmp_path)
    # The relying party is a process of its own and trusts the certificate as well.
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
    ports = Ports(
        public=find_free_port(),
        operators=find_free_port(),
        replicas=(find_free_port(), find_free_port()),
        operators_of_replicas=(find_free_port(), find_free_port()),
    )
    settings = {
        "TOKENSVC_DATABASE_URL": new_database_url("empty"),
        "TOKENSVC_KEYS_DIR": str(tmp_path / "keys"),
        "TOKENSVC_ISSUER": f"https://localhost:{ports.public}",
        "TOKENSVC_TRUSTED_PROXY_HOPS": "1",
    }
    started = [
        new_process(
            TOKENSVC_PORT=str(port),
            TOKENSVC_ADMIN_PORT=str(admin),
            TOKENSVC_METRICS_PORT=str(find_free_port()),
            **settings,
        )
        for port, admin in zip(ports.replicas, ports.operators_of_replicas, strict=True)
    ]
    for process in started:
        process.wait_until_ready()
    trust = ssl.create_default_context(cafile=certificate.certificate)
    found = Front(ports, started[0], started[1], trust, proxy)
    with proxy.running(ports, certificate, tmp_path):
        wait_until(found.answers)
        yield found


def find_admin_key(front: Front) -> str:
    is_first = "This is the first start" in front.first.output
    return (front.first if is_first else front.second).admin_key


def check_exchange_and_feed(front: Front) -> None:
    """A token is good at a relying party, which learns through the proxy that it is revoked."""
    key = new_key(front.first)
    with RelyingParty(front.public) as party:
        token = front.exchange(key.text)
        wait_until(lambda: party.verify(token) == "good")
        assert front.first.cli("key", "revoke", key.id, "--yes").returncode == 0
        assert party.wait_for_refusal(token)[0] == "revoked_key"


def check_what_is_kept_apart(front: Front, admin: str) -> None:
    """The API and the dashboard are for operators, and nobody gets the metrics."""
    assert front.ask(f"{front.public}/v1/whoami", admin)[0] == 404
    assert front.ask(f"{front.public}/metrics")[0] == 404
    assert front.ask(f"{front.operators}/metrics")[0] == 404
    assert front.ask(f"{front.operators}/v1/whoami", admin)[0] == 200


def check_address_of_client(front: Front, admin: str) -> None:
    """What a client says of its own address is not believed."""
    url = f"{front.operators}/v1"
    assert front.ask(f"{url}/capabilities", admin, {"name": "orders:proxy"})[0] == 201
    status, events = front.ask(f"{url}/audit-events?limit=1", admin)
    assert status == 200
    # Envoy names its own address for a client on loopback.
    assert events["items"][0]["address"] != FORGED


def is_starting(answer: aiohttp.ClientResponse) -> bool:
    """Tell whether a replica says that it has done nothing yet, and when to ask again."""
    return answer.status == 503 and answer.headers.get("Retry-After") == "1"


def has_issued(process: ServiceProcess) -> bool:
    """Tell whether a process has issued a token since its start."""
    port = process.environment["TOKENSVC_METRICS_PORT"]
    shown = call(f"http://127.0.0.1:{port}/metrics").body.decode()
    return re.search(r'exchanges_total{outcome="issued"} [1-9]', shown) is not None


async def check_rolling_restart(front: Front) -> None:
    """Clients go on while both replicas are restarted, one after the other."""
    keys = await asyncio.to_thread(new_keys, front.first, CLIENTS)
    stopped = asyncio.Event()
    answered = 0
    refused: list[str] = []

    async def use(session: aiohttp.ClientSession, key: str) -> None:
        nonlocal answered
        headers = {"Authorization": f"Bearer {key}"}
        while not stopped.is_set():
            async with session.post(f"{front.public}/v1/token", headers=headers) as answer:
                text = await answer.text()
                if answer.status == 200:
                    answered += 1
                elif front.proxy.asks_if_ready or not is_starting(answer):
                    refused.append(f"{answer.status} {text}")

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=front.trust)) as session:
        using = [asyncio.create_task(use(session, key.text)) for key in keys]
        for process in (front.first, front.second):
            await asyncio.to_thread(process.stop)
            await asyncio.to_thread(process.start)
            await asyncio.to_thread(process.wait_until_ready)
            # The proxy looks once a second. It has seen that this one is ready again when it sends
            # clients there.
            await until(lambda process=process: asyncio.to_thread(has_issued, process))
        stopped.set()
        await asyncio.gather(*using)
    assert refused == []
    assert answered > 100


async def test_a_proxy_serves_clients_followers_and_operators_and_a_rolling_restart(front):
    admin = find_admin_key(front)
    await asyncio.to_thread(check_exchange_and_feed, front)
    await asyncio.to_thread(check_what_is_kept_apart, front, admin)
    await asyncio.to_thread(check_address_of_client, front, admin)
    if front.proxy.hides_restarts:
        await check_rolling_restart(front)
