"""How long do lists of keys take, when an account has very many?

    python -m bench.lists [--keys 100000] [--without-trigrams] [--requests 50]

An account gets so many keys by SQL, of all states and with notes. Then pages are asked for over
HTTP, each kind 50 times in a row, and the service tells how long it took. With a hundred thousand
keys each p95 must be within 200 ms; with more than that only the first page must, within 100 ms.
The memory of the service must not grow with the list. `--without-trigrams` takes pg_trgm away
first. TOKENSVC_POSTGRES_BIN_DIR chooses another Postgres. The exit code is 1 if a bound is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import requests

from bench.installation import database_of, memory_bytes, running_service
from tokensvc.store.primary import connect

if TYPE_CHECKING:
    from testbed.processes import ServiceProcess

MANY: Final = 100_000
PROMISED: Final = 0.2  # seconds
PROMISED_FIRST: Final = 0.1
MOST_GROWTH: Final = 20  # MB, of the service, while a hundred pages of a thousand keys are read
_FIRST: Final = "the first page"
_PATIENCE: Final = 60

# The lists that are promised, and below them others.
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
select id, created_at, '192.0.2.0/24', 'api' from api_key where length(name) > 10 and id < 'key_1'
"""


async def fill(url: str, account: str, keys: int, *, with_trigrams: bool) -> None:
    """Make the keys."""
    connection = await connect(url)
    await connection.execute("set statement_timeout = 0")
    if not with_trigrams:
        await connection.execute("drop extension if exists pg_trgm cascade")
    for first in range(1, keys + 1, 50_000):
        last = min(keys, first + 49_999)
        await connection.execute(FILL, account, first, last, timeout=300)
    await connection.execute(FILL_WINDOWS, timeout=300)
    await connection.execute(FILL_USES, timeout=300)
    await connection.execute("vacuum analyze", timeout=300)
    version = await connection.fetchval("show server_version")
    trigrams = await connection.fetchval("select count(*) from pg_extension where extname ~ 'trgm'")
    print(f"{keys:,} keys, Postgres {version}, pg_trgm: {'yes' if trigrams else 'no'}", flush=True)
    await connection.close()


@dataclass(slots=True, kw_only=True)
class Reader:
    """Asks a service for lists of keys, and knows by the log how long it took."""

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

    def measure(self, query: str, count: int) -> tuple[float, float]:
        """Return the median and the 95th percentile of so many requests, in seconds."""
        of_account = f"account={self.account}&{query}"
        times = sorted(self.get(of_account)[0] for _ in range(count))
        return times[count // 2], times[count * 95 // 100]

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


def measure(reader: Reader, keys: int, count: int) -> bool:
    """Print how long each list takes; tell whether all bounds were kept."""
    kept = True
    for name, query in QUERIES.items():
        if keys > MANY and name == "a thousand":
            continue
        p50, p95 = reader.measure(query, count)
        bound = PROMISED if keys <= MANY else PROMISED_FIRST if name == _FIRST else None
        is_kept = bound is None or p95 <= bound
        kept &= is_kept
        said = "" if bound is None else f" (promised {1000 * bound:.0f})"
        mark = "" if is_kept else "  MISSED"
        print(
            f"{name:24} p50 {1000 * p50:7.1f} ms, p95 {1000 * p95:7.1f} ms{said}{mark}", flush=True
        )
    return kept & _is_memory_constant(reader)


def _is_memory_constant(reader: Reader) -> bool:
    reader.walk(5)
    before = memory_bytes(reader.process.pid)
    found = reader.walk(100)
    growth = (memory_bytes(reader.process.pid) - before) / 1e6
    print(f"memory: {growth:+.1f} MB after {found:,} keys (promised {MOST_GROWTH} at most)")
    return growth <= MOST_GROWTH


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.lists")
    parser.add_argument("--keys", type=int, default=MANY)
    parser.add_argument("--requests", type=int, default=50)
    parser.add_argument("--without-trigrams", action="store_true")
    options = parser.parse_args()
    environment = {"TOKENSVC_CALLS_PER_MINUTE": "1000000", "TOKENSVC_LOG_LEVEL": "warning"}
    with running_service(environment=environment) as process:
        reader = open_reader(process)
        with database_of(process) as (url, _):
            asyncio.run(
                fill(
                    url,
                    reader.account,
                    options.keys,
                    with_trigrams=not options.without_trigrams,
                )
            )
        kept = measure(reader, options.keys, options.requests)
    print(f"load average {os.getloadavg()[0]:.1f}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
