"""How many revocations a second, when Postgres is far away?

    python -m bench.acts [--callers 50] [--seconds 8]

50 callers revoke API keys through `POST /v1/revoke`, each key once. A link adds time to every round
trip between service and Postgres. Then two callers revoke 10,000 keys without HTTP, a thousand in
one act. Every revocation is durable (fsync is on) before it is acknowledged. The exit code is 1 if
one failed, or if there were fewer a second than promised.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

import aiohttp
from testbed.keys import add_keys_to
from testbed.processes import ServiceProcess
from testbed.slow_link import SlowLink

from tokensvc.core.actor import Actor
from tokensvc.store.embedded import EmbeddedPostgres
from tokensvc.store.key_endings import end_api_keys
from tokensvc.store.pool import open_database
from tokensvc.store.primary import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokensvc.store.key_endings import EndedKey

# Milliseconds that a round trip takes longer, and the revocations a second that are promised then.
PROMISED: Final = {0: 600, 2: 300, 100: 100}
PROMISED_IN_ONE_GO: Final = 5000
_KEYS_A_SECOND: Final = 2500  # more than can be revoked
_IN_ONE_GO: Final = 10_000
_IN_ONE_ACT: Final = 1000
_OK: Final = 200


async def revoke_all(
    issuer: str, keys: Sequence[str], *, callers: int, seconds: float
) -> tuple[Counter[int], list[float], float]:
    """Revoke keys for so many seconds; return the statuses, the times of each, and how long."""
    statuses: Counter[int] = Counter()
    times: list[float] = []
    left: Iterator[str] = iter(keys)
    began_on = time.perf_counter()

    async def call(session: aiohttp.ClientSession) -> None:
        while time.perf_counter() - began_on < seconds:
            key = next(left, None)
            if key is None:
                return
            asked_on = time.perf_counter()
            async with session.post("/v1/revoke", data={"token": key}) as answer:
                statuses[answer.status] += 1
            times.append(time.perf_counter() - asked_on)

    connector = aiohttp.TCPConnector(limit=callers)
    async with aiohttp.ClientSession(issuer, connector=connector) as session:
        await asyncio.gather(*(call(session) for _ in range(callers)))
    return statuses, times, time.perf_counter() - began_on


async def measure(folder: Path, postgres_url: str, *, callers: int, seconds: float) -> bool:
    """Print what was reached; tell whether all promises were kept."""
    url = urlsplit(postgres_url)
    place = parse_qs(url.query)
    kept = True
    async with SlowLink(Path(place["host"][0]) / f".s.PGSQL.{place['port'][0]}") as link:
        far_url = f"postgresql://{url.username}:{url.password}@127.0.0.1:{link.port}{url.path}"
        environment = {"TOKENSVC_DATABASE_URL": far_url, "TOKENSVC_LOG_LEVEL": "warning"}
        process = ServiceProcess(folder, (), environment)
        try:
            await asyncio.to_thread(process.wait_until_ready)
            for delay, promised in PROMISED.items():
                link.delay = 0.0
                keys = await add_keys_to(postgres_url, int(_KEYS_A_SECOND * seconds))
                link.delay = delay / 1000
                await asyncio.sleep(1)
                statuses, times, took = await revoke_all(
                    process.url, keys, callers=callers, seconds=seconds
                )
                kept &= _report(delay, promised, statuses, times, took)
        finally:
            link.delay = 0.0
            await asyncio.to_thread(process.stop)
    return kept & await _in_one_go(postgres_url)


def _report(
    delay: int, promised: int, statuses: Counter[int], times: list[float], took: float
) -> bool:
    times.sort()
    rate, failed = statuses[_OK] / took, statuses.total() - statuses[_OK]
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
    print(
        f"+{delay} ms: {rate:.0f} revocations/s (promised {promised}), {failed} failed, "
        f"p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms",
        flush=True,
    )
    return rate >= promised and failed == 0


async def _in_one_go(url: str) -> bool:
    await add_keys_to(url, _IN_ONE_GO)
    connection = await connect(url)
    rows = await connection.fetch(
        "select id from api_key where revoked_at is null order by id limit $1", _IN_ONE_GO
    )
    await connection.close()
    database = await open_database(url, max_size=2)
    began_on = time.perf_counter()
    ended: list[EndedKey] = []
    starts = iter(range(0, len(rows), _IN_ONE_ACT))

    async def revoke() -> None:
        for start in starts:
            some = [row["id"] for row in rows[start : start + _IN_ONE_ACT]]
            async with database.act() as connection:
                ended.extend(
                    await end_api_keys(
                        connection,
                        "key_revoked",
                        key_ids=some,
                        actor=Actor(name="bench"),
                        detail={},
                    )
                )

    await asyncio.gather(revoke(), revoke())
    rate = len(ended) / (time.perf_counter() - began_on)
    await database.close()
    failed = sum(key.outcome != "ended" for key in ended)
    print(f"in one go: {rate:.0f} keys/s (promised {PROMISED_IN_ONE_GO}), {failed} failed")
    return rate >= PROMISED_IN_ONE_GO and failed == 0


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.acts")
    parser.add_argument("--callers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=8)
    options = parser.parse_args()
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
