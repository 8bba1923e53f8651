"""How long do requests wait while Postgres swallows everything and answers nothing?

    python -m bench.black_hole [--seconds 20] [--callers 4]

The host of Postgres vanishes as if its cable were pulled: what is sent to it arrives nowhere, and
no connection is refused. Meanwhile callers ask at each door, again and again. The exit code is 1
if an answer took longer than 3 s, or if a door that needs no database did not answer 200. How long
it takes until tokens are given out again is printed, too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import aiohttp
from testbed.keys import add_keys_to
from testbed.processes import ServiceProcess
from testbed.slow_link import SlowLink
from testbed.waiting import until

from tokensvc.core.api_key import new_api_key
from tokensvc.store.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST: Final = 3.0  # seconds
_SWALLOWED: Final = 86_400.0  # seconds that a packet takes
_OK: Final = 200
_PATIENCE: Final = aiohttp.ClientTimeout(total=30)


@dataclass(slots=True)
class Door:
    """What is asked for, and what came of it. `alone`: it needs no database."""

    method: str
    path: str
    alone: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    statuses: Counter[int] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)  # seconds

    async def ask(self, session: aiohttp.ClientSession) -> int:
        """Ask once; return the status."""
        asked_on = time.perf_counter()
        async with session.request(
            self.method, self.path, headers=self.headers, data=self.form, timeout=_PATIENCE
        ) as answer:
            await answer.read()
        self.statuses[answer.status] += 1
        self.times.append(time.perf_counter() - asked_on)
        return answer.status

    def report(self, name: str) -> bool:
        """Print what was seen; tell whether that is good."""
        times = sorted(self.times)
        p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
        print(
            f"{name:<24} {len(times):>6} answers {dict(self.statuses)}, "
            f"p50 {p50:.3f} s, p99 {p99:.3f} s, longest {times[-1]:.3f} s",
            flush=True,
        )
        return times[-1] <= LONGEST and (not self.alone or set(self.statuses) == {_OK})


def list_doors(good: str, doomed: str) -> dict[str, Door]:
    """Return what is asked for; `doomed` is a key that somebody wants to revoke."""
    authorization = {"Authorization": f"Bearer {good}"}
    stranger = {"Authorization": f"Bearer {new_api_key().text}"}
    return {
        "exchange": Door("POST", "/v1/token", headers=authorization, form={}),
        "exchange, unknown key": Door("POST", "/v1/token", headers=stranger, form={}),
        "revoke": Door("POST", "/v1/revoke", form={"token": doomed}),
        "introspect": Door("POST", "/v1/introspect", headers=authorization, form={"token": doomed}),
        "list of accounts": Door("GET", "/v1/accounts", headers=authorization),
        "sign-in": Door("GET", "/dashboard/sign-in", alone=True),
        "JWKS": Door("GET", "/.well-known/jwks.json", alone=True),
        "metadata": Door("GET", "/.well-known/oauth-authorization-server", alone=True),
        "metrics": Door("GET", "/metrics", alone=True),
        "livez": Door("GET", "/livez", alone=True),
        "readyz": Door("GET", "/readyz"),
    }


async def measure(folder: Path, postgres_url: str, *, callers: int, seconds: float) -> bool:
    """Print what each door did; tell whether that is good."""
    url = urlsplit(postgres_url)
    place = parse_qs(url.query)
    async with SlowLink(Path(place["host"][0]) / f".s.PGSQL.{place['port'][0]}") as link:
        far_url = f"postgresql://{url.username}:{url.password}@127.0.0.1:{link.port}{url.path}"
        process = ServiceProcess(folder, (), {"TOKENSVC_DATABASE_URL": far_url})
        try:
            await asyncio.to_thread(process.wait_until_ready)
            good, doomed = await add_keys_to(postgres_url, 2)
            doors = list_doors(good, doomed)
            connector = aiohttp.TCPConnector(limit=0)
            async with aiohttp.ClientSession(process.url, connector=connector) as session:
                await _warm_up(session, good)
                link.delay = _SWALLOWED
                await _ask_all(session, doors, callers=callers, seconds=seconds)
                kept = [door.report(name) for name, door in doors.items()]
                link.delay = 0.0
                await _wait_until_back(session, good)
        finally:
            link.delay = 0.0
            await asyncio.to_thread(process.stop)
    return all(kept)


async def _warm_up(session: aiohttp.ClientSession, key: str) -> None:
    door = Door("POST", "/v1/token", headers={"Authorization": f"Bearer {key}"}, form={})
    assert await door.ask(session) == _OK


async def _ask_all(
    session: aiohttp.ClientSession, doors: Mapping[str, Door], *, callers: int, seconds: float
) -> None:
    end_on = time.perf_counter() + seconds

    async def call(door: Door) -> None:
        while time.perf_counter() < end_on:
            await door.ask(session)
            await asyncio.sleep(0.05)

    await asyncio.gather(*(call(door) for door in doors.values() for _ in range(callers)))


async def _wait_until_back(session: aiohttp.ClientSession, key: str) -> None:
    door = Door("POST", "/v1/token", headers={"Authorization": f"Bearer {key}"}, form={})
    began_on = time.perf_counter()

    async def works() -> bool:
        await asyncio.sleep(0.05)
        return await door.ask(session) == _OK

    await until(works)
    print(f"tokens again after {time.perf_counter() - began_on:.2f} s")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.black_hole")
    parser.add_argument("--callers", type=int, default=4, help="at each door")
    parser.add_argument("--seconds", type=float, default=20)
    options: Any = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tokensvc-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # its Postgres may run as another user
        postgres = EmbeddedPostgres(folder / "postgres")
        url = postgres.start()
        try:
            kept = asyncio.run(
                measure(folder, url, callers=options.callers, seconds=options.seconds)
            )
        finally:
            postgres.stop()
    print(f"load average {os.getloadavg()[0]:.1f}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
