"""Exchanges leave nothing behind: no row in Postgres, and no memory in the service."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

from testbed.keys import add_keys

from bench.installation import database_of, memory_bytes, running_service
from bench.ledger.query import query
from bench.sender import full_load, write_requests

_SIZE: Final = """
select sum(pg_total_relation_size(oid))::bigint from pg_class
where relkind = 'r' and relnamespace = 'public'::regnamespace
"""
_COUNTED: Final = "select coalesce(sum(day_count), 0)::bigint from account_window"
_USAGE_SECONDS: Final = 6  # the sums of usage are written every five


def rows(exchanges: int = 200_000) -> bool:
    """Exchange; return whether the tables have grown by less than a megabyte."""
    with (
        running_service() as service,
        database_of(service) as (url, _),
        tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name,
    ):
        requests = write_requests(Path(name) / "exchange", "/v1/token", add_keys(url, 1000))
        full_load(service.port, requests, seconds=5)
        time.sleep(_USAGE_SECONDS)
        query(url, "vacuum")
        before, counted = query(url, _SIZE), query(url, _COUNTED)
        while query(url, _COUNTED) < counted + exchanges:
            full_load(service.port, requests, seconds=10)
        time.sleep(_USAGE_SECONDS)
        done = query(url, _COUNTED) - counted
        query(url, "vacuum")
        grown = query(url, _SIZE) - before
    print(f"{done} exchanges; tables and indexes of {before / 1e6:.1f} MB", end=" ")
    print(f"grew by {grown / 1e6:.3f} MB after vacuum")
    return bool(grown < 1_000_000)


def memory(exchanges: int = 500_000) -> bool:
    """Exchange; return whether the worker stays below 120 MB."""
    with (
        running_service() as service,
        database_of(service) as (url, _),
        tempfile.TemporaryDirectory(prefix="tokensvc-bench-") as name,
    ):
        requests = write_requests(Path(name) / "exchange", "/v1/token", add_keys(url, 10_000))
        seen: list[float] = []
        while (done := query(url, _COUNTED)) < exchanges:
            full_load(service.port, requests, seconds=15)
            seen.append(round(memory_bytes(service.pid) / 1e6, 1))
            print(f"{done:>8} exchanges: {seen[-1]} MB", flush=True)
    second_half = seen[-1] - seen[len(seen) // 2]
    print(f"after {exchanges} exchanges {seen[-1]} MB; in the second half {second_half:+.1f} MB")
    return seen[-1] < 120
