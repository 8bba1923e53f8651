"""What failovers are played on: a cluster of two nodes, and two service processes."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp

from testbed.cluster import Cluster
from testbed.ports import find_free_port
from testbed.processes import ServiceProcess
from testbed.waiting import PATIENCE
from tokensvc.verify import Clock, Verifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

_AUDIENCE: Final = "api"
_POLL: Final = 0.01
_SYSTEM_CLOCK: Final = Clock(wall=time.time, monotonic=time.monotonic)


@dataclass(slots=True)
class Client:
    """Somebody who exchanges and revokes at one of the processes."""

    session: aiohttp.ClientSession
    url: str

    async def exchange(self, key: str) -> str | None:
        """Return a token, None if the key is refused. Tries again while the service cannot tell."""
        give_up_on = time.monotonic() + PATIENCE
        headers = {"Authorization": f"Bearer {key}"}
        while time.monotonic() < give_up_on:
            try:
                async with self.session.post(f"{self.url}/v1/token", headers=headers) as answer:
                    if answer.status == 200:
                        return str((await answer.json())["access_token"])
                    if answer.status == 401:
                        return None
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(_POLL)
        raise RuntimeError("no answer to an exchange")

    async def revoke(self, credential: str) -> None:
        """Return when the revocation is acknowledged. Tries again while the service cannot tell."""
        give_up_on = time.monotonic() + PATIENCE
        form = {"token": credential}
        while time.monotonic() < give_up_on:
            with contextlib.suppress(aiohttp.ClientError):
                async with self.session.post(f"{self.url}/v1/revoke", data=form) as answer:
                    if answer.status == 200:
                        return
                    if answer.status != 503:
                        raise RuntimeError(f"a revocation was answered {answer.status}")
            await asyncio.sleep(_POLL)
        raise RuntimeError("no answer to a revocation")


@dataclass(slots=True, kw_only=True)
class Stage:
    """What the rounds are played on."""

    cluster: Cluster
    services: list[ServiceProcess]
    session: aiohttp.ClientSession
    synchronous: bool

    def client(self, number: int) -> Client:
        """Return a client of one of the two processes."""
        return Client(self.session, self.services[number].url)

    def verifier(self, number: int, *, clock: Clock = _SYSTEM_CLOCK) -> Verifier:
        """Return a follower of one of the two processes, not started."""
        url = self.services[number].url
        return Verifier(
            issuer=self.services[0].url,
            audience=_AUDIENCE,
            jwks_url=f"{url}/.well-known/jwks.json",
            denylist_url=f"{url}/v1/denylist",
            clock=clock,
        )


@asynccontextmanager
async def open_stage(
    *,
    synchronous: bool,
    of_postgres: Mapping[str, str] | None = None,
    of_services: Sequence[Mapping[str, str]] = ({}, {}),
) -> AsyncIterator[Stage]:
    """Run a cluster and two service processes on it; everything is gone at the end.

    `of_postgres` and `of_services` are added to their environments.
    """
    with Cluster(of_postgres) as cluster:
        async with open_services(
            cluster, synchronous=synchronous, of_services=of_services
        ) as stage:
            yield stage


@asynccontextmanager
async def open_services(
    cluster: Cluster, *, synchronous: bool, of_services: Sequence[Mapping[str, str]] = ({}, {})
) -> AsyncIterator[Stage]:
    """Run two service processes on a cluster that runs already."""
    services: list[ServiceProcess] = []
    with tempfile.TemporaryDirectory(prefix="tokensvc-failover-") as name:
        try:
            planned = _plan_services(Path(name), cluster.url)
            for (folder, environment), own in zip(planned, of_services, strict=True):
                services.append(ServiceProcess(folder, (), environment | dict(own)))
                await asyncio.to_thread(services[-1].wait_until_ready)
            timeout = aiohttp.ClientTimeout(total=PATIENCE)
            async with aiohttp.ClientSession(timeout=timeout) as session:
                yield Stage(
                    cluster=cluster, services=services, session=session, synchronous=synchronous
                )
        finally:
            for service in services:
                service.stop()


def _plan_services(folder: Path, url: str) -> Iterator[tuple[Path, dict[str, str]]]:
    port = find_free_port()
    shared = {
        "TOKENSVC_DATABASE_URL": url,
        "TOKENSVC_KEYS_DIR": f"{folder}/keys",
        "TOKENSVC_ISSUER": f"http://127.0.0.1:{port}",
        "TOKENSVC_LOG_LEVEL": "warning",
    }
    for number, own in enumerate(({"TOKENSVC_PORT": str(port)}, {})):
        (folder / str(number)).mkdir()
        yield folder / str(number), shared | own
