"""What the ledger promises, on real processes: exact limits, no rows per token, a million keys, a flood of guesses, flat memory.

    python -m bench.ledger exact     2 services x 2 workers against 100 keys at ten times their limit, over three minute boundaries
    python -m bench.ledger rows      sizes of tables and indexes before and after 200,000 exchanges
    python -m bench.ledger scale     throughput with a million keys against ten thousand
    python -m bench.ledger flood     honest latency beside 5,000 unknown keys a second
    python -m bench.ledger memory    a worker's memory over 500,000 exchanges

Each starts its own services in temporary folders, and says whether the promise held.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from testbed.keys import add_keys
from testbed.processes import ServiceProcess

from bench.installation import database_of, memory_bytes, running_service
from bench.throughput import ROOT, at_rate, full_load, median, write_requests
from tokensvc.core.api_key import new_api_key
from tokensvc.store.primary import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_KEYS: Final = 100
_ACCOUNTS: Final = 10
_PER_MINUTE: Final = 60
_PER_ACCOUNT: Final = 400  # less than ten keys may do together: the account's cap shows as well
_FAR: Final = 1_000_000_000
_OK, _LIMITED = 200, 429


async def _query(url: str, statement: str) -> Any:  # noqa: ANN401 - one value of any kind
    connection = await connect(url)
    try:
        return await connection.fetchval(statement, timeout=600)
    finally:
        await connection.close()


def query(url: str, statement: str) -> Any:  # noqa: ANN401
    """Return one value."""
    return asyncio.run(_query(url, statement))


# --- exact -------------------------------------------------------------------------------------------------------------------------


def exact(minutes: int = 3) -> bool:
    """Hammer the same keys through two services, restart one in the middle, and count what each window admitted."""
    with (
        running_service(2) as first,
        database_of(first) as (url, _),
        tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name,
    ):
        capped = add_keys(
            url, _KEYS, accounts=_ACCOUNTS, per_minute=_PER_MINUTE, account_per_minute=_PER_ACCOUNT
        )
        plain = add_keys(url, _KEYS, accounts=_KEYS, per_minute=_PER_MINUTE)
        environment = {
            "TOKENSVC_DATABASE_URL": url,
            "TOKENSVC_KEYS_DIR": str(first.folder / "keys"),
        }
        second = ServiceProcess(Path(name), ("--workers", "2"), environment)
        try:
            second.wait_until_ready()
            tally = asyncio.run(_hammer([first, second], [*capped, *plain], minutes))
        finally:
            second.stop()
        deadlocks = query(url, "select sum(deadlocks) from pg_stat_database")
    return _judge(tally, capped, plain, deadlocks)


async def _hammer(
    services: Sequence[ServiceProcess], keys: Sequence[str], minutes: int
) -> dict[str, Counter[Any]]:
    """Ask for every key ten times its limit a minute; return what was admitted by (key, minute of its iat), and all statuses."""
    admitted: Counter[tuple[str, int]] = Counter()
    statuses: Counter[object] = Counter()
    ends = time.time() + 60 - time.time() % 60 + 60 * minutes + 1
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:

        async def ask(number: int) -> None:
            while time.time() < ends:
                key = random.choice(keys)
                try:
                    async with session.post(
                        f"{services[number % 2].url}/v1/token",
                        headers={"Authorization": f"Bearer {key}"},
                    ) as answer:
                        body = await answer.json()
                        statuses[answer.status] += 1
                except (aiohttp.ClientError, OSError):
                    statuses["restarting" if number % 2 else "lost"] += 1
                    await asyncio.sleep(0.05)
                    continue
                if answer.status == _OK:
                    admitted[key, read_iat(body["access_token"]) // 60] += 1

        async def restart() -> None:
            await asyncio.sleep(ends - time.time() - 60 * minutes / 2)
            await asyncio.to_thread(services[1].stop)
            await asyncio.to_thread(services[1].start)

        await asyncio.gather(restart(), *(ask(number) for number in range(64)))
    return {"admitted": admitted, "statuses": statuses}


def read_iat(token: str) -> int:
    """Return when a token was issued."""
    import jwt  # noqa: PLC0415

    return int(jwt.decode(token, options={"verify_signature": False})["iat"])


def _judge(
    tally: dict[str, Counter[Any]], capped: Sequence[str], plain: Sequence[str], deadlocks: int
) -> bool:
    admitted, statuses = tally["admitted"], tally["statuses"]
    minutes = sorted({minute for _, minute in admitted})[1:-1]  # whole ones
    of_plain = Counter(admitted[key, minute] for minute in minutes for key in plain)
    of_accounts = Counter(
        sum(admitted[key, minute] for key in capped[n::_ACCOUNTS])
        for minute in minutes
        for n in range(_ACCOUNTS)
    )
    most = max(admitted[key, minute] for minute in minutes for key in capped)
    errors = {
        status: count
        for status, count in statuses.items()
        if status not in {_OK, _LIMITED, "restarting"}
    }
    print(
        f"statuses {dict(statuses)}, whole minutes {len(minutes)}, deadlocks {deadlocks}, errors {errors}"
    )
    print(f"tokens per key and minute, {_PER_MINUTE} allowed: {dict(of_plain)}")
    print(
        f"tokens per account and minute, {_PER_ACCOUNT} allowed: {dict(of_accounts)}; most of one of their keys {most}"
    )
    return (
        of_plain == {_PER_MINUTE: len(minutes) * len(plain)}
        and set(of_accounts) == {_PER_ACCOUNT}
        and not errors
        and deadlocks == 0
    )


# --- the others --------------------------------------------------------------------------------------------------------------------


def rows(exchanges: int = 200_000) -> bool:
    """Exchange, and see whether anything has grown."""
    size = "select sum(pg_total_relation_size(oid))::bigint from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
    with (
        running_service() as service,
        database_of(service) as (url, _),
        tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name,
    ):
        requests = write_requests(Path(name) / "exchange", "/v1/token", add_keys(url, 1000))
        full_load(service.port, requests, seconds=5)
        time.sleep(6)  # the sums of usage are written
        query(url, "vacuum")
        before, counted = (
            query(url, size),
            query(url, "select sum(day_count)::bigint from account_window"),
        )
        while query(url, "select sum(day_count)::bigint from account_window") < counted + exchanges:
            full_load(service.port, requests, seconds=10)
        time.sleep(6)
        done = query(url, "select sum(day_count)::bigint from account_window") - counted
        query(url, "vacuum")
        grown = query(url, size) - before
    print(
        f"{done} exchanges; tables and indexes grew by {grown / 1e6:.3f} MB after vacuum (of {before / 1e6:.1f} MB)"
    )
    return bool(grown < 1_000_000)


def scale(many: int = 1_000_000, few: int = 10_000) -> bool:
    """Compare throughput with many keys and with few, in turns."""
    with (
        tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name,
        running_service() as small,
        running_service() as large,
    ):
        loads = []
        for service, count in ((small, few), (large, many)):
            with database_of(service) as (url, _):
                keys = add_keys(url, count, accounts=max(100, count // 100))
            loads.append(
                (
                    service,
                    write_requests(
                        Path(name) / str(count),
                        "/v1/token",
                        random.sample(keys, min(count, 200_000)),
                    ),
                )
            )
        for service, requests in loads:
            full_load(service.port, requests, seconds=10)
        pairs = [
            [full_load(service.port, requests, seconds=6) for service, requests in loads]
            for _ in range(5)
        ]
    ratios = [
        round(large_run.per_second / small_run.per_second, 3) for small_run, large_run in pairs
    ]
    for count, runs in zip((few, many), zip(*pairs, strict=True), strict=True):
        print(
            f"{count:>9} keys: {median(runs).per_second:.0f}/s, p99 {median(runs).p99} ms, {sum(run.failed for run in runs)} failed"
        )
    print(f"ratio of pairs {ratios}, median {sorted(ratios)[2]}")
    return sorted(ratios)[2] >= 0.9


def flood(rate: int = 5000, honest: int = 500, connections: int = 200) -> bool:
    """Measure honest latency without and with a flood of unknown keys."""
    with (
        running_service(2) as service,
        database_of(service) as (url, _),
        tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name,
    ):
        good = write_requests(Path(name) / "good", "/v1/token", add_keys(url, 1000))
        bad = write_requests(
            Path(name) / "bad", "/v1/token", [new_api_key().text for _ in range(100_000)]
        )
        at_rate(
            service.port, good, rate=honest, seconds=6
        )  # warm: every key is known to both workers
        quiet = [at_rate(service.port, good, rate=honest, seconds=6) for _ in range(3)]
        command = [
            sys.executable,
            "-m",
            "bench.load",
            "127.0.0.1",
            str(service.port),
            str(bad),
            "--rate",
            str(rate),
            "--seconds",
            "30",
        ]
        with subprocess.Popen(
            [*command, "--connections", str(connections)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        ) as attacker:
            time.sleep(2)
            loud = [at_rate(service.port, good, rate=honest, seconds=6) for _ in range(3)]
            output, _ = attacker.communicate()
    before, during = (sorted(run.p99 for run in runs)[1] for runs in (quiet, loud))
    print(f"attacker: {output.strip()}")
    print(
        f"honest, {honest}/s: p99 {before} ms alone, {during} ms beside the flood; failed {sum(run.failed for run in loud)}"
    )
    return during <= 2 * before


def memory(exchanges: int = 500_000) -> bool:
    """Watch one worker's memory."""
    with (
        running_service() as service,
        database_of(service) as (url, _),
        tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name,
    ):
        requests = write_requests(Path(name) / "exchange", "/v1/token", add_keys(url, 10_000))
        seen = []
        while (
            done := query(url, "select coalesce(sum(day_count), 0)::bigint from account_window")
        ) < exchanges:
            full_load(service.port, requests, seconds=15)
            seen.append(round(memory_bytes(service.pid) / 1e6, 1))
            print(f"{done:>8} exchanges: {seen[-1]} MB", flush=True)
    flat = seen[-1] - seen[len(seen) // 2]
    print(f"after {exchanges} exchanges {seen[-1]} MB; in the second half {flat:+.1f} MB")
    return seen[-1] < 120


PROOFS: Final[dict[str, Callable[[], bool]]] = {
    "exact": exact,
    "rows": rows,
    "scale": scale,
    "flood": flood,
    "memory": memory,
}


def main() -> int:
    """Run the named proofs, or all."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.ledger", description="Prove what the ledger promises."
    )
    parser.add_argument(
        "proofs", nargs="*", choices=[*PROOFS, []], help="which; all if none is named"
    )
    failed = []
    for name in parser.parse_args().proofs or PROOFS:
        print(f"\n--- {name}", flush=True)
        if not PROOFS[name]():
            failed.append(name)
            print("NOT KEPT")
    print(f"\nkept: {len(PROOFS) - len(failed)}; not kept: {failed or 'none'}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
