"""What notices cost: an exchange while somebody is told of everything, beside one while nobody is.

    python -m bench.notices [--pairs 7] [--seconds 8] [--keys 1000]

One service, in turns with an endpoint that is subscribed to everything and with none, so that
nothing else differs. In all turns a key is disabled or enabled once a second, which makes the
notices. An exchange must cost at most 5 % more processor time, of service and Postgres together, in
the median of the pairs. The exit code is 1 if it costs more, or if nothing was delivered.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import requests
from testbed.keys import add_keys

from bench.contest import Contestant, take_turn, warm_up
from bench.installation import running_service
from bench.sender import write_requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from testbed.processes import ServiceProcess

_MOST: Final = 1.05
_ACT_SECONDS: Final = 1.0
_CONNECTIONS: Final = 64
_ENVIRONMENT: Final = {
    "TOKENSVC_NOTICE_ALLOWED_NETWORKS": "127.0.0.0/8",
    "TOKENSVC_CALLS_PER_MINUTE": "1000000",
}


class _Receiver(BaseHTTPRequestHandler):
    """Takes notices and counts them."""

    taken = itertools.count()

    def do_POST(self) -> None:
        """Take one."""
        self.rfile.read(int(self.headers["Content-Length"]))
        next(self.taken)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _receiver() -> Iterator[str]:
    """Run a receiver; yields its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


class Admin:
    """Calls operations, and disables and enables a key all the time."""

    def __init__(self, process: ServiceProcess) -> None:
        self._url = process.url
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {process.admin_key}"

    def call(self, method: str, path: str, body: dict[str, object]) -> dict[str, Any]:
        """Return the answer of an operation."""
        answer = self._session.request(method, f"{self._url}{path}", json=body, timeout=60)
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Make things to tell of, meanwhile."""
        account = self.call("POST", "/v1/accounts", {"name": "told of"})["id"]
        wish = {"account": account, "name": "told of", "capabilities": ["tokensvc:read"]}
        path = f"/v1/keys/{self.call('POST', '/v1/keys', wish)['id']}"
        is_over = threading.Event()

        def act() -> None:
            for name in itertools.cycle(("disable", "enable")):
                if is_over.wait(_ACT_SECONDS):
                    return
                self.call("POST", f"{path}/{name}", {})

        thread = threading.Thread(target=act)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()


def measure(process: ServiceProcess, pairs: int, seconds: float, keys: int) -> bool:
    """Measure and print; tell whether the bound holds."""
    told_of, admin = Admin(process), Admin(process)
    with tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name, _receiver() as receiver:
        texts = add_keys(process.database_url, keys)
        exchange = Contestant(
            name="exchange",
            port=process.port,
            requests=write_requests(Path(name) / "exchange", "/v1/token", texts),
            service=(process.pid,),
            database=(process.postmaster,),
        )
        endpoint = admin.call("POST", "/v1/notice-endpoints", {"url": receiver})["id"]
        warm_up(exchange, 2 * keys)

        def turn(*, is_told: bool) -> float:
            admin.call("PATCH", f"/v1/notice-endpoints/{endpoint}", {"enabled": is_told})
            seen = take_turn(exchange, connections=_CONNECTIONS, seconds=seconds)
            what = "told of everything" if is_told else "nobody is told"
            print(
                f"{what:<20} service {seen.service:6.1f} us   Postgres {seen.database:6.1f} us   "
                f"{seen.wrong} wrong   {seen.others:.1f} cores used by others",
                flush=True,
            )
            return seen.cost

        ratios = []
        with told_of.acting():
            for number in range(pairs):
                first = bool(number % 2)
                found = {is_told: turn(is_told=is_told) for is_told in (first, not first)}
                ratios.append(found[True] / found[False])
    delivered = next(_Receiver.taken)
    print(f"ratios {[round(ratio, 3) for ratio in sorted(ratios)]}")
    print(f"median {statistics.median(ratios):.3f}, at most {_MOST}; {delivered} notices delivered")
    return statistics.median(ratios) <= _MOST and delivered > 0


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.notices")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--keys", type=int, default=1000)
    options = parser.parse_args()
    with running_service(environment=_ENVIRONMENT) as process:
        return not measure(process, options.pairs, options.seconds, options.keys)


if __name__ == "__main__":
    sys.exit(main())
