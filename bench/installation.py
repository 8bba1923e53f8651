"""A service of our own to measure: in a temporary folder, on a free port."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from testbed.processes import EXECUTABLE, ServiceProcess

from tokensvc.store.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


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


def cpu_seconds(process_id: int) -> float:
    """Return the processor time of a process and of its children, also of those that ended."""
    return cpu_seconds_of(list_tree(process_id))


def cpu_seconds_of(processes: Iterable[int]) -> float:
    """Return the processor time of some processes, and of their children that ended."""
    total = 0
    for process_id in processes:
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(ticks) for ticks in fields[11:15])
    return total / os.sysconf("SC_CLK_TCK")


def list_tree(process_id: int) -> set[int]:
    """Return a process, its children, and theirs."""
    found, waiting = set[int](), [process_id]
    while waiting:
        current = waiting.pop()
        found.add(current)
        with suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{current}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return found


def memory_bytes(process_id: int) -> int:
    """Return the resident memory of one process."""
    return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * os.sysconf(
        "SC_PAGE_SIZE"
    )
