"""`tokensvc` as processes of their own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from testbed.leaks import API_KEY
from testbed.ports import find_free_port
from testbed.waiting import PATIENCE, wait_until
from tokensvc.store.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parent.parent
TRACEBACK = "Traceback (most recent call last)"
EXECUTABLE = Path(sys.executable).with_name("tokensvc")
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def run_cli(
    *arguments: str,
    cwd: Path,
    stdin: str = "",
    command: Sequence[str] = (str(EXECUTABLE),),
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end. It must not print a traceback, however it ends."""
    done = subprocess.run(
        [*command, *arguments],
        cwd=cwd,
        env=clean_environment() | environment,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE,
    )
    if TRACEBACK in done.stderr:
        raise AssertionError(done.stderr)
    return done


def clean_environment() -> dict[str, str]:
    """Return the environment of this process without any setting of a service."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TOKENSVC_") or name.endswith("BIN_DIR")
    }


class ServiceProcess:
    """`tokensvc serve` in a folder, a process group and a port of its own.

    It makes its own keys, and its own embedded Postgres unless a URL is given.
    """

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        *,
        command: Sequence[str] = (str(EXECUTABLE),),
    ) -> None:
        self.folder = folder
        given = dict(environment or {})
        self.port = int(given.get("TOKENSVC_PORT") or find_free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {"TOKENSVC_PORT": str(self.port)} | given
        self.command = list(command)
        self._arguments = arguments
        self._child: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def output(self) -> str:
        """All that was printed to stdout."""
        return (self.folder / "stdout").read_text()

    @property
    def errors(self) -> str:
        """All that was printed to stderr: the log."""
        return (self.folder / "stderr").read_text()

    @property
    def admin_key(self) -> str:
        """The key of the first start: in a file, or printed where no file can be written."""
        named = re.search(r"^file (.*), which only", self.output, re.MULTILINE)
        path = self.folder / (".tokensvc/first-admin.key" if named is None else named[1])
        text = path.read_text() if path.exists() else self.output
        return str(re.findall(API_KEY, text)[0])

    @property
    def database_url(self) -> str:
        """The URL of the database that it was told to use, or of its embedded Postgres."""
        given = self.environment.get("TOKENSVC_DATABASE_URL")
        if given is not None:
            return given
        password = (self.folder / ".tokensvc" / "postgres-password").read_text().strip()
        socket = quote(str(self.postgres_home / "socket"))
        return f"postgresql://tokensvc:{password}@/postgres?host={socket}&port=5432"

    @property
    def postgres_home(self) -> Path:
        """Where its embedded Postgres lives: in its folder, if Postgres's user may enter there."""
        elsewhere = self.folder / ".tokensvc" / "postgres-elsewhere"
        if elsewhere.exists():
            return Path(elsewhere.read_text().strip())
        return self.folder / ".tokensvc" / "postgres"

    @property
    def postmaster(self) -> int:
        """The process id of its embedded Postgres."""
        status = self.postgres_home / "data" / "postmaster.pid"
        return int(status.read_text().splitlines()[0])

    @property
    def pid(self) -> int:
        """The process id."""
        return self._running_child().pid

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers; none if one process serves by itself."""
        return [child for child in list_children(self.pid) if _serves(child)]

    def start(self) -> None:
        """Start it, for the first time or again."""
        with (self.folder / "stdout").open("ab") as out, (self.folder / "stderr").open("ab") as err:
            self._child = subprocess.Popen(
                [*self.command, "serve", *self._arguments],
                cwd=self.folder,
                env=clean_environment() | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Wait until it is ready: every check of /readyz holds."""
        child = self._running_child()
        wait_until(lambda: child.poll() is not None or self.is_ready())
        if child.poll() is not None:
            raise AssertionError(f"it has ended:\n{self.output}\n{self.errors}")

    def is_ready(self) -> bool:
        """Tell whether /readyz says that it is ready."""
        try:
            with _DIRECT.open(f"{self.url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def cli(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command beside the service, with the same settings."""
        return run_cli(
            *arguments, cwd=self.folder, stdin=stdin, command=self.command, **self.environment
        )

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process alone."""
        os.kill(self.pid, number)

    def send_group(self, number: signal.Signals) -> None:
        """Send a signal to the process and all its children, as a terminal does for Ctrl-C."""
        os.killpg(self.pid, number)

    def wait(self) -> int:
        """Wait for the end; return the exit code."""
        return self._running_child().wait(PATIENCE)

    def kill(self) -> None:
        """End it as a crash would."""
        self.send(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """End it as ops would, and the embedded Postgres that it left behind if it was killed."""
        child = self._running_child()
        if child.poll() is None:
            self.send(signal.SIGTERM)
            self.send(signal.SIGCONT)
            self.wait()
        postgres = EmbeddedPostgres(self.folder / ".tokensvc")
        if postgres.process_id is not None:
            postgres.start()
            postgres.stop()

    def _running_child(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise AssertionError("it was never started")
        return self._child


def list_children(process_id: int) -> list[int]:
    """Return the process ids of the children of a process; none if it is gone."""
    try:
        children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in children.split()]


def is_alive(process_id: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        status = Path(f"/proc/{process_id}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def count_connections(process_id: int, port: int) -> int:
    """Return how many established connections to `port` of loopback a process holds."""
    inodes = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == f"0100007F:{port:04X}" and fields[3] == "01":
            inodes.add(f"socket:[{fields[9]}]")
    held = 0
    for descriptor in Path(f"/proc/{process_id}/fd").iterdir():
        with contextlib.suppress(OSError):
            held += str(descriptor.readlink()) in inodes
    return held


def may_count_connections(process_id: int) -> bool:
    """Tell whether `count_connections` can be asked: a service lets only root look into it."""
    return os.access(f"/proc/{process_id}/fd", os.R_OK)


def _serves(process_id: int) -> bool:
    try:
        return "serve" in Path(f"/proc/{process_id}/cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return False
