"""A service of our own to measure: in a temporary folder, on a free port, with keys put straight into its database."""

from __future__ import annotations

import asyncio
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tests.processes import EXECUTABLE, ServiceProcess

from tokensvc.core.api_key import new_api_key
from tokensvc.core.identifier import new_account_id, new_key_id
from tokensvc.store.embedded import EmbeddedPostgres
from tokensvc.store.primary import connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import asyncpg

CAPABILITIES: Final = ["orders:read", "orders:write"]
_AT_ONCE: Final = 50_000
_NO_LIMIT: Final = 1_000_000_000


@contextmanager
def running_service(
    workers: int = 1,
    environment: Mapping[str, str] = MappingProxyType({}),
    *,
    command: Sequence[str] = (str(EXECUTABLE),),
) -> Iterator[ServiceProcess]:
    """Run a service with so many workers; everything is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="tokensvc-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # its Postgres may run as another user
        process = ServiceProcess(
            folder, ("--workers", str(workers)), dict(environment), command=command
        )
        try:
            process.wait_until_ready()
            yield process
        finally:
            process.stop()


@contextmanager
def database_of(process: ServiceProcess) -> Iterator[tuple[str, int]]:
    """Lend the URL of the embedded Postgres of a service, and the process id of that Postgres."""
    postgres = EmbeddedPostgres(process.folder / ".tokensvc")
    url = postgres.start()
    try:
        yield url, postgres.process_id or 0
    finally:
        postgres.stop()


def add_keys(
    url: str,
    count: int,
    *,
    accounts: int = 100,
    per_minute: int = _NO_LIMIT,
    account_per_minute: int = _NO_LIMIT,
) -> list[str]:
    """Make keys straight in the database, spread over accounts; return their texts."""
    return asyncio.run(_add_keys(url, count, accounts, per_minute, account_per_minute))


async def add_keys_to(url: str, count: int) -> list[str]:
    """As `add_keys`, in a loop that runs: keys without limits, in accounts of their own."""
    return await _add_keys(url, count, count, _NO_LIMIT, _NO_LIMIT)


async def _add_keys(
    url: str, count: int, accounts: int, per_minute: int, account_per_minute: int
) -> list[str]:
    connection = await connect(url)
    try:
        await connection.execute("set statement_timeout = 0; set lock_timeout = 0")
        now = await connection.fetchval("select clock_timestamp()")
        owners = [new_account_id() for _ in range(accounts)]
        rows = [(owner, "bench", now, account_per_minute, _NO_LIMIT) for owner in owners]
        await _copy(
            connection, "account", ("id", "name", "created_at", "per_minute", "per_day"), rows
        )
        await _copy(connection, "account_window", ("account_id",), [(owner,) for owner in owners])
        texts: list[str] = []
        for start in range(0, count, _AT_ONCE):
            keys = [(new_key_id(), new_api_key()) for _ in range(min(_AT_ONCE, count - start))]
            facts = [
                (
                    i,
                    owners[n % accounts],
                    k.digest,
                    k.hint,
                    "bench",
                    "",
                    CAPABILITIES,
                    now,
                    per_minute,
                    _NO_LIMIT,
                )
                for n, (i, k) in enumerate(keys)
            ]
            columns = (
                "id",
                "account_id",
                "digest",
                "hint",
                "name",
                "description",
                "capabilities",
                "created_at",
                "per_minute",
                "per_day",
            )
            await _copy(connection, "api_key", columns, facts)
            await _copy(connection, "api_key_window", ("key_id",), [(i,) for i, _ in keys])
            texts += [k.text for _, k in keys]
        await connection.execute("vacuum analyze", timeout=600)
        return texts
    finally:
        await connection.close()


async def _copy(
    connection: asyncpg.Connection,
    table: str,
    columns: Sequence[str],
    rows: Sequence[tuple[object, ...]],
) -> None:
    await connection.copy_records_to_table(table, columns=columns, records=rows, timeout=600)


def cpu_seconds(process_id: int) -> float:
    """Return the processor time of a process and all that it has started, also of those that have ended."""
    total, waiting = 0.0, [process_id]
    while waiting:
        current = waiting.pop()
        try:
            fields = Path(f"/proc/{current}/stat").read_text().rpartition(")")[2].split()
            children = Path(f"/proc/{current}/task/{current}/children").read_text().split()
        except FileNotFoundError:
            continue
        total += sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")
        waiting += [int(child) for child in children]
    return total


def memory_bytes(process_id: int) -> int:
    """Return the resident memory of one process."""
    return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * os.sysconf(
        "SC_PAGE_SIZE"
    )
