"""Services as processes of their own, for tests."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.leaks import find_secrets
from testbed.processes import EXECUTABLE, TRACEBACK, ServiceProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@contextmanager
def starting(parent: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Lend a function that starts services, each in a folder of its own below `parent`.

    All are stopped at the end. No secret may stand in what they have logged, and no traceback in
    anything that they have printed.
    """
    processes: list[ServiceProcess] = []

    def start(
        *arguments: str,
        command: Sequence[str] = (str(EXECUTABLE),),
        folder: Path | None = None,
        **environment: str,
    ) -> ServiceProcess:
        if folder is None:
            folder = Path(tempfile.mkdtemp(dir=parent))
            folder.chmod(0o755)  # its Postgres may run as another user
        processes.append(ServiceProcess(folder, arguments, environment, command=command))
        return processes[-1]

    yield start
    for process in processes:
        process.stop()
        assert find_secrets(process.errors) == []
        assert TRACEBACK not in process.errors + process.output
