"""`tokensvc serve` in a process group of its own, from any installation and as any user."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from tests.processes import EXECUTABLE, ServiceProcess, clean_environment

if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence


class Launched(ServiceProcess):
    """A service whose command may be prefixed or replaced, and which takes Ctrl-C as from a terminal of its own."""

    def __init__(
        self,
        folder: Path,
        arguments: tuple[str, ...],
        environment: dict[str, str],
        command: Sequence[str] = (str(EXECUTABLE),),
    ) -> None:
        super().__init__(folder, arguments, environment, command=command)

    def start(self) -> None:
        with (self.folder / "stdout").open("ab") as out, (self.folder / "stderr").open("ab") as err:
            self._child = subprocess.Popen(
                [*self._command, "serve", *self._arguments],
                cwd=self.folder,
                env=clean_environment() | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def cli(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._command, *arguments],
            cwd=self.folder,
            env=clean_environment() | self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def send_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and all its children, as a terminal does."""
        os.killpg(self.pid, number)

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers; none if one process serves by itself."""
        children = [
            int(number)
            for number in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        ]
        return [
            child
            for child in children
            if "serve" in Path(f"/proc/{child}/cmdline").read_text().split("\0")
        ]


def postmaster_of(process: ServiceProcess) -> int:
    """The process id of the embedded Postgres of a service."""
    home = process.folder / ".tokensvc" / "postgres"
    return int((home / "data" / "postmaster.pid").read_text().splitlines()[0])


def database_url_of(process: ServiceProcess) -> str:
    """The URL of the embedded Postgres of a service."""
    folder = process.folder / ".tokensvc"
    password = (folder / "postgres-password").read_text().strip()
    return f"postgresql://tokensvc:{password}@/postgres?host={quote(str(folder / 'postgres' / 'socket'))}&port=5432"


def is_alive(process_id: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        status = Path(f"/proc/{process_id}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
