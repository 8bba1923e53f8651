"""`tokensvc` as processes of their own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parent.parent
EXECUTABLE = Path(sys.executable).with_name("tokensvc")
_KEY = r"(?<![0-9A-Za-z-])tsk-[0-9A-Za-z]{32}(?![0-9A-Za-z-])"
_TOKEN = r"eyJ[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+"


def find_secrets(text: str) -> list[str]:
    """Return every API key, token, private key and URL password that stands in `text`."""
    return re.findall(rf"{_KEY}|{_TOKEN}|PRIVATE KEY|(?<=://)[^/@\s\"']+:[^/@\s\"']+(?=@)", text)


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def run_cli(
    *arguments: str, cwd: Path, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [str(EXECUTABLE), *arguments],
        cwd=cwd,
        env=clean_environment() | environment,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def clean_environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TOKENSVC_") or name.endswith("BIN_DIR")
    }


class ServiceProcess:
    """`tokensvc serve` in a folder of its own, with its own port, keys and (unless a URL is given) its own embedded Postgres."""

    def __init__(
        self,
        folder: Path,
        arguments: tuple[str, ...],
        environment: dict[str, str],
        *,
        command: Sequence[str] = (str(EXECUTABLE),),
    ) -> None:
        self.folder = folder
        self.port = int(environment.get("TOKENSVC_PORT") or find_free_port())
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = command
        self._arguments = arguments
        self._environment = {"TOKENSVC_PORT": str(self.port)} | environment
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
        """The key of the first start."""
        return str(re.findall(_KEY, self.output)[0])

    @property
    def database_url(self) -> str:
        """The database that it was told to use."""
        return self._environment["TOKENSVC_DATABASE_URL"]

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def start(self) -> None:
        with (self.folder / "stdout").open("ab") as out, (self.folder / "stderr").open("ab") as err:
            self._child = subprocess.Popen(
                [*self._command, "serve", *self._arguments],
                cwd=self.folder,
                env=clean_environment() | {"PYTHONPATH": str(ROOT)} | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def wait_until_ready(self, seconds: float = 30) -> None:
        """Wait until the service is open."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self._child is not None
            if self._child.poll() is not None:
                break
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                    probe.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
                    if b"200" in probe.recv(100):
                        return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready:\n{self.output}\n{self.errors}")

    def cli(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command beside the service, with the same settings."""
        return run_cli(*arguments, cwd=self.folder, stdin=stdin, **self._environment)

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = 30) -> int:
        """Wait for the end; return the exit code."""
        assert self._child is not None
        return self._child.wait(seconds)

    def kill(self) -> None:
        """End it as a crash would."""
        self.send(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """End it as ops would; if it was killed, let the embedded Postgres that it left behind end too."""
        if self._child is not None and self._child.poll() is None:
            self.send(signal.SIGTERM)
            self.wait()
        if (
            "TOKENSVC_DATABASE_URL" not in self._environment
            and (self.folder / ".tokensvc").exists()
        ):
            self.cli("account", "list")
