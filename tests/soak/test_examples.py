"""The services and clients of `examples/` run, in the languages that this machine has."""

from __future__ import annotations

import json
import re
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from testbed.ports import find_free_port
from testbed.waiting import wait_until

from tests.e2e.calls import Key, call, exchange, new_key, revoke
from tests.services import starting
from tests.soak.examples import EXAMPLES, FOLDER, PROXIES, ask_with, find_proxy, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.processes import ServiceProcess

    from tests.databases import Databases

AUDIENCE = "orders-api"
# npm and Maven may have to fetch, and a JVM is slow to start on a busy machine.
PATIENT = 120.0


@dataclass(frozen=True)
class Issuer:
    """A service of ours with two keys, of which one may read orders."""

    process: ServiceProcess
    reader: Key
    writer: Key

    @property
    def environment(self) -> dict[str, str]:
        """What an example is told."""
        return {
            "ISSUER": self.process.url,
            "AUDIENCE": AUDIENCE,
            "KEY_ID": self.reader.id,
            "TOKENSVC_API_KEY": self.reader.text,
        }

    def token_of(self, key: Key, audience: str = AUDIENCE) -> str:
        return exchange(self.process.url, key.text, audience=audience)


@pytest.fixture(scope="module")
def issuer(
    session_folder: Path, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Issuer]:
    url = databases.take("migrated")
    with starting(session_folder) as start:
        keys = str(tmp_path_factory.mktemp("keys"))
        process = start(TOKENSVC_DATABASE_URL=url, TOKENSVC_KEYS_DIR=keys)
        process.wait_until_ready()
        assert process.cli("audience", "create", AUDIENCE).returncode == 0
        yield Issuer(process, new_key(process), new_key(process, "orders:write"))
    databases.drop(url)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples are built, once for all tests."""
    return tmp_path_factory.mktemp("examples")


def status_of(url: str, token: str | None = None, **headers: str) -> int:
    """Return the status of an answer; 0 while nobody answers."""
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    try:
        return call(url, None, **headers).status
    except OSError:
        return 0


def check_refusals(url: str, issuer: Issuer) -> str:
    """Wait until a good token passes, and hold what is refused; return the good token."""
    good = issuer.token_of(issuer.reader)
    wait_until(lambda: status_of(url, good) == 200, PATIENT)
    assert status_of(url) == 401
    assert status_of(url, "junk") == 401
    assert status_of(url, good[:-8] + "AAAAAAAA") == 401
    assert status_of(url, issuer.token_of(issuer.reader, "api")) == 401
    assert status_of(url, issuer.token_of(issuer.writer)) == 403
    return good


def check_revocation(url: str, issuer: Issuer, token: str) -> None:
    assert revoke(issuer.process.url, token) == 200
    wait_until(lambda: status_of(url, token) == 401)


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.name for example in EXAMPLES])
def test_an_example_serves_orders_and_its_client_gets_them(example, issuer, folder, tmp_path):
    if missing := example.find_missing():
        pytest.skip(f"THE EXAMPLE {example.name.upper()} WAS NOT RUN: no {', '.join(missing)}")
    built = example.make(folder)
    port = str(find_free_port())
    command = [part.format(port=port) for part in example.service]
    url = f"http://127.0.0.1:{port}/orders"
    environment = issuer.environment | {"PORT": port, "ORDERS_URL": url}
    with running(command, built, tmp_path / "log", environment):
        good = check_refusals(url, issuer)
        printed = ask_with(example.client, built, environment)
        assert json.loads(printed) == {"for": issuer.reader.account}
        if example.follows:
            check_revocation(url, issuer, good)


class Orders(BaseHTTPRequestHandler):
    """A service behind a proxy, which knows nothing of tokens."""

    def do_GET(self) -> None:
        body = json.dumps({"for": self.headers["X-Account"], "scope": self.headers["X-Scope"]})
        self.send_response(200 if self.headers["Authorization"] is None else 500)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving_orders(port: int) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", port), Orders)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_proxy_asks_the_gateway_about_each_request(proxy, issuer, tmp_path):
    if find_proxy(proxy) is None:
        pytest.skip(f"NOBODY ASKED THE GATEWAY: {proxy} is not installed")
    public, gateway, orders = (find_free_port() for _ in range(3))
    ours = {"9000": str(public), "9001": str(gateway), "9002": str(orders)}
    for path in (FOLDER / "proxy").iterdir():
        text = re.sub("|".join(ours), lambda named: ours[named[0]], path.read_text())
        (tmp_path / path.name).write_text(text)
    command = [part.format(folder=tmp_path) for part in PROXIES[proxy]]
    url = f"http://127.0.0.1:{public}/orders"
    log = tmp_path / "log"
    asked = issuer.environment | {"PORT": str(gateway)}
    gateway_command = (sys.executable, str(FOLDER / "python" / "gateway.py"))
    with serving_orders(orders), running(command, tmp_path, log, {}):
        with running(gateway_command, tmp_path, log, asked):
            good = check_refusals(url, issuer)
            answered = call(url, Authorization=f"Bearer {good}", X_Account="acct_forged")
            wanted = {"for": issuer.reader.account, "scope": "orders:read"}
            assert answered.json == wanted
            check_revocation(url, issuer, good)
        assert status_of(url, issuer.token_of(issuer.reader)) == 503
