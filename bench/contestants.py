"""The contestants of `make bench`: handlers that do less than an exchange, exchanges, refusals."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from testbed.keys import add_keys
from testbed.ports import find_free_port
from testbed.processes import ROOT
from testbed.proxies import PROXIES, Ports, make_certificate

from bench.contest import Contestant
from bench.installation import running_service
from bench.sender import write_requests
from tokensvc.core.api_key import new_api_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from testbed.processes import ServiceProcess

BARE: Final = "bare handler"
SIGN: Final = "sign-only handler"
EXCHANGE: Final = "exchange, 1 worker"
TWO_WORKERS: Final = "exchange, 2 workers"
BEHIND_TLS: Final = "exchange, nginx with TLS"
LIMITED: Final = "429, over a limit"
UNKNOWN: Final = "401, unknown key"
_OUT_OF_THE_WAY: Final = "1000000000"
# Refusals come late if there are many. What one costs can be seen only if it comes at once.
_AT_ONCE: Final = {
    "TOKENSVC_UNKNOWN_KEYS_PER_MINUTE": _OUT_OF_THE_WAY,
    "TOKENSVC_REFUSALS_PER_MINUTE": _OUT_OF_THE_WAY,
}
_STARTS_WITHIN: Final = 1.5


@contextmanager
def handlers() -> Iterator[tuple[int, int]]:
    """Run what an exchange is compared with; yields its port and its process id."""
    port = find_free_port()
    with subprocess.Popen([sys.executable, "-m", "bench.handlers", str(port)], cwd=ROOT) as child:
        time.sleep(_STARTS_WITHIN)
        try:
            yield port, child.pid
        finally:
            child.kill()


@contextmanager
def _handler(name: str, target: str, folder: Path) -> Iterator[Contestant]:
    requests = write_requests(folder / name, target, ["tsk-" + "x" * 32])
    with handlers() as (port, process_id):
        yield Contestant(name=name, port=port, requests=requests, service=(process_id,))


@contextmanager
def _exchange(name: str, workers: int, folder: Path, keys: int) -> Iterator[Contestant]:
    with running_service(workers) as service:
        yield _describe(name, service, folder, add_keys(service.database_url, keys))


@contextmanager
def _behind_tls(folder: Path, keys: int) -> Iterator[Contestant]:
    """Run nginx with the file of `deploy/proxy`: TLS, P-256, connections that stay open."""
    (nginx,) = (proxy for proxy in PROXIES if proxy.name == "nginx")
    port = find_free_port()
    with running_service(1, {"TOKENSVC_TRUSTED_PROXY_HOPS": "1"}) as service:
        ports = Ports(
            public=port,
            operators=find_free_port(),
            replicas=(service.port, service.port),
            operators_of_replicas=(service.port, service.port),
        )
        with nginx.running(ports, make_certificate(folder), folder) as process_id:
            time.sleep(_STARTS_WITHIN)
            texts = add_keys(service.database_url, keys)
            requests = write_requests(folder / BEHIND_TLS, "/v1/token", texts)
            yield Contestant(
                name=BEHIND_TLS,
                port=port,
                requests=requests,
                service=(service.pid, process_id),
                database=(service.postmaster,),
                tls=True,
            )


@contextmanager
def _limited(folder: Path, keys: int) -> Iterator[Contestant]:
    with running_service(1, _AT_ONCE) as service:
        texts = add_keys(service.database_url, keys, account_per_minute=1)
        yield _describe(LIMITED, service, folder, texts, refuses=True)


@contextmanager
def _unknown(folder: Path, keys: int) -> Iterator[Contestant]:
    with running_service(1, _AT_ONCE) as service:
        texts = [new_api_key().text for _ in range(keys)]
        yield _describe(UNKNOWN, service, folder, texts, refuses=True)


def _describe(
    name: str, service: ServiceProcess, folder: Path, keys: list[str], *, refuses: bool = False
) -> Contestant:
    return Contestant(
        name=name,
        port=service.port,
        requests=write_requests(folder / name, "/v1/token", keys),
        service=(service.pid,),
        database=(service.postmaster,),
        refuses=refuses,
    )


# By name: what starts it, given a folder for its files and how many API keys are active.
CONTESTANTS: Final[dict[str, Callable[[Path, int], AbstractContextManager[Contestant]]]] = {
    BARE: lambda folder, _: _handler(BARE, "/bare", folder),
    SIGN: lambda folder, _: _handler(SIGN, "/sign", folder),
    EXCHANGE: lambda folder, keys: _exchange(EXCHANGE, 1, folder, keys),
    TWO_WORKERS: lambda folder, keys: _exchange(TWO_WORKERS, 2, folder, keys),
    BEHIND_TLS: _behind_tls,
    LIMITED: _limited,
    UNKNOWN: _unknown,
}
