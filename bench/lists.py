"""How long do lists of keys take, when an account has very many?

    python -m bench.lists [--keys 100000] [--many 1000000] [--requests 50]

To list twenty keys must cost the command little. Then an account gets very many keys by SQL, of all
states and with notes, and pages are asked for over HTTP, each kind 50 times in a row. Each p95 must
be within 200 ms, with pg_trgm and, where a part of a name is searched for, without it. With a
million keys the first page must come within 100 ms. Neither the memory of the service nor that of
`tokensvc key list` may grow with the list. All this is done with Debian's Postgres and with that of
the wheel, as far as they are here; the million with the first of them. The exit code is 1 if a
bound is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import requests
from testbed.processes import EXECUTABLE, clean_environment

from bench.cost import HEADER, measure
from bench.installation import memory_bytes, running_service
from tokensvc.store.postgres_binaries import list_debian_binaries, list_wheel_binaries
from tokensvc.store.primary import connect

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from testbed.processes import ServiceProcess

PROMISED: Final = 0.2  # seconds, with a hundred thousand keys
PROMISED_FIRST: Final = 0.1  # with a million
MOST_GROWTH: Final = 20  # MB, of the service and of the command, while all keys are read
COMMANDS: Final = {"--host": 0.25, "--url": 0.35}  # seconds of processor time
FEW: Final = 20
_FIRST: Final = "the first page"
_PATIENCE: Final = 60
_AT_ONCE: Final = 50_000
_ENVIRONMENT: Final = {
    "TOKENSVC_CALLS_PER_MINUTE": "1000000",
    "TOKENSVC_LOG_LEVEL": "warning",
}

# What is asked for, by what people call it.
QUERIES: Final = {
    _FIRST: "",
    "active": "state=active",
    "disabled": "state=disabled",
    "revoked": "state=revoked",
    "expired": "state=expired",
    "a rare capability": "capability=orders:admin",
    "a capability of all": "capability=orders:read",
    "notes": "metadata.team=t7",
    "a part of a name": "name=4a4a",
    "a part of many names": "name=service",
    "a part of no name": "name=zzzz",
    "a part of two letters": "name=ff",
    "state and capability": "state=active&capability=orders:admin",
    "used before": "used_before=2020-01-01T00:00:00Z",
    "newest first": "sort=-created_at",
    "by name": "sort=name",
    "by last use": "sort=last_used_at",
    "latest use first": "sort=-last_used_at",
    "by expiry": "sort=expires_at",
    "a thousand": "limit=1000",
}

FILL: Final = """
insert into api_key (
    id, account_id, digest, hint, name, description, capabilities, created_at, expires_at,
    disabled_at, revoked_at, metadata, window_id
)
select 'key_' || lpad(n::text, 16, '0'), $1, sha256(n::text::bytea),
    'tsk-...' || substr(md5(n::text), 1, 4), 'service ' || md5(n::text), '',
    array['orders:read'] || case when n % 50 = 0 then array['orders:admin'] else '{}' end,
    clock_timestamp() - n * interval '1 second',
    case when n % 13 = 0 then clock_timestamp() + (n % 3 - 1) * interval '1 day' end,
    case when n % 10 = 0 then clock_timestamp() end,
    case when n % 7 = 0 then clock_timestamp() end,
    jsonb_build_object('team', 't' || n % 100),
    'key_' || lpad(n::text, 16, '0')
from generate_series($2::int, $3::int) n
"""
FILL_WINDOWS: Final = """
insert into api_key_window (key_id) select id from api_key on conflict do nothing
"""
FILL_USES: Final = """
insert into api_key_last_use (key_id, at, network, audience)
select id, created_at, '192.0.2.0/24', 'api' from api_key
where length(name) > 10 and id < 'key_1' on conflict do nothing
"""


async def fill(url: str, account: str, first: int, last: int) -> None:
    """Make the keys with these numbers."""
    connection = await connect(url)
    # What Postgres does by itself to a table that grows may hold locks for a while.
    await connection.execute("set statement_timeout = 0; set lock_timeout = 0")
    for begin in range(first, last + 1, _AT_ONCE):
        end = min(last, begin + _AT_ONCE - 1)
        await connection.execute(FILL, account, begin, end, timeout=300)
    await connection.execute(FILL_WINDOWS, timeout=300)
    await connection.execute(FILL_USES, timeout=300)
    await connection.execute("vacuum analyze", timeout=300)
    await connection.close()


async def execute(url: str, statement: str) -> None:
    """Run a statement."""
    connection = await connect(url)
    await connection.execute(statement, timeout=_PATIENCE)
    await connection.close()


async def describe(url: str) -> str:
    """Return which Postgres it is, and whether it has pg_trgm."""
    connection = await connect(url)
    version = await connection.fetchval("show server_version")
    trigrams = await connection.fetchval("select count(*) from pg_extension where extname ~ 'trgm'")
    await connection.close()
    return f"Postgres {version}, {'with' if trigrams else 'without'} pg_trgm"


@dataclass(slots=True, kw_only=True)
class Reader:
    """Asks a service for lists of the keys of an account."""

    process: ServiceProcess
    account: str
    session: requests.Session

    def get(self, query: str) -> tuple[float, dict[str, Any]]:
        """Return how many seconds a page took, and the page."""
        begun_on = time.perf_counter()
        answer = self.session.get(f"{self.process.url}/v1/keys?{query}", timeout=_PATIENCE)
        took = time.perf_counter() - begun_on
        answer.raise_for_status()
        return took, answer.json()

    def keeps(self, names: Iterable[str], count: int, bound: float) -> bool:
        """Print what these lists take; tell whether each p95 is within the bound."""
        kept = True
        for name in names:
            query = f"account={self.account}&{QUERIES[name]}"

            def ask(query: str = query) -> float:
                return self.get(query)[0]

            cost = measure(self.process, ask, count)
            kept &= cost.p95 <= bound
            mark = "" if cost.p95 <= bound else f"  MISSED ({1000 * bound:.0f} promised)"
            print(f"  {name:24}{cost}{mark}", flush=True)
        return kept

    def walk(self, pages: int) -> int:
        """Read so many pages of a thousand keys; return how many keys that were."""
        query, found = "limit=1000", 0
        for _ in range(pages):
            _, page = self.get(query)
            found += len(page["items"])
            if page["next_cursor"] is None:
                break
            query = f"limit=1000&cursor={page['next_cursor']}"
        return found


def open_reader(process: ServiceProcess) -> Reader:
    """Return a reader that calls with the admin key."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {process.admin_key}"
    account = session.get(f"{process.url}/v1/whoami", timeout=_PATIENCE).json()["account"]
    return Reader(process=process, account=account, session=session)


class Used(NamedTuple):
    """What a command has used: processor time, and the most memory."""

    seconds: float
    megabytes: float


# A small process starts the command: a child is said to need what its parent had when it began.
_WATCH: Final = """
import os, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(child.pid, 0)
child.returncode = os.waitstatus_to_exitcode(status)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
sys.exit(child.returncode)
"""


def is_memory_constant(reader: Reader) -> bool:
    """Read all keys, by HTTP and by the command; tell whether the memory of neither has grown."""
    reader.walk(5)
    before = memory_bytes(reader.process.pid)
    found = reader.walk(1000)
    growth = (memory_bytes(reader.process.pid) - before) / 1e6
    few, many = (
        list_by_command(reader.process, "--url", f"--name={name}").megabytes
        for name in ("zzzz", "service")
    )
    print(
        f"  memory after {found:,} keys: service {growth:+.1f} MB, `key list` {many - few:+.1f} MB "
        f"(promised {MOST_GROWTH} at most)",
        flush=True,
    )
    return max(growth, many - few) <= MOST_GROWTH


def are_commands_quick(process: ServiceProcess) -> bool:
    """Print the processor time of `tokensvc key list`; tell whether it is within the bounds."""
    kept = True
    for way, bound in COMMANDS.items():
        seconds = statistics.median(list_by_command(process, way).seconds for _ in range(9))
        kept &= seconds <= bound
        mark = "" if seconds <= bound else "  MISSED"
        print(
            f"  `tokensvc {way} key list`, {FEW} keys: {seconds:.3f} s of processor time "
            f"(promised {bound}){mark}",
            flush=True,
        )
    return kept


def list_by_command(process: ServiceProcess, way: str, *filters: str) -> Used:
    """Run `tokensvc key list`; return what it has used. `way`: --host or --url."""
    where = [way] if way == "--host" else [way, process.url]
    command = [str(EXECUTABLE), *where, "key", "list", "-o", "json", *filters]
    done = subprocess.run(
        [sys.executable, "-I", "-c", _WATCH, *command],
        cwd=process.folder,
        env=clean_environment() | process.environment | {"TOKENSVC_API_KEY": process.admin_key},
        capture_output=True,
        check=True,
        text=True,
    )
    seconds, kilobytes = done.stdout.split()
    return Used(float(seconds), int(kilobytes) / 1024)


def try_postgres(binaries: Path, keys: int, many: int, count: int) -> bool:
    """Measure with one Postgres; tell whether all bounds were kept. `many`: 0 leaves that out."""
    chosen = {"TOKENSVC_POSTGRES_BIN_DIR": str(binaries)}
    with running_service(environment=_ENVIRONMENT | chosen) as process:
        reader, url = open_reader(process), process.database_url
        print(asyncio.run(describe(url)), flush=True)
        asyncio.run(fill(url, reader.account, 1, FEW))
        kept = are_commands_quick(process)
        asyncio.run(fill(url, reader.account, FEW + 1, keys))
        print(f"{keys:,} keys; {HEADER}", flush=True)
        kept &= reader.keeps(QUERIES, count, PROMISED)
        kept &= is_memory_constant(reader)
        asyncio.run(execute(url, "drop extension if exists pg_trgm cascade"))
        print(f"{keys:,} keys, {asyncio.run(describe(url))}", flush=True)
        parts = [name for name, query in QUERIES.items() if query.startswith("name=")]
        kept &= reader.keeps(parts, count, PROMISED)
        if many:
            asyncio.run(fill(url, reader.account, keys + 1, many))
            print(f"{many:,} keys", flush=True)
            kept &= reader.keeps([_FIRST], count, PROMISED_FIRST)
    return kept


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.lists")
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--requests", type=int, default=50)
    options = parser.parse_args()
    kept, many = True, options.many
    for binaries in [*list_debian_binaries()[:1], *list_wheel_binaries()]:
        kept &= try_postgres(binaries, options.keys, many, options.requests)
        many = 0
    print(f"load average {os.getloadavg()[0]:.1f}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
