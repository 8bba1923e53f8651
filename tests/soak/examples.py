"""The services and clients of `examples/`: what each needs, how it is made, and how it runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from testbed.processes import ROOT, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FOLDER: Final = ROOT / "examples"
_BESIDE: Final = Path(sys.executable).parent
# What npm, go and Maven say when there is no registry, or one that fails.
_NO_REGISTRY: Final = re.compile(
    "FetchError|network|dial tcp|no such host|Could not transfer|Unknown host|Unreachable"
    r"|code E5\d\d|reading https?://\S+: 5\d\d|Get \"https?://"
)
# npm by itself tries for over a minute
_NPM_CI: Final = ("npm", "ci", "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=5000")
_LIBRARIES: Final = "-DoutputDirectory=target/libraries"
_JAVA: Final = ("java", "-XX:TieredStopAtLevel=1", "-cp", "target/classes:target/libraries/*")


@dataclass(frozen=True, kw_only=True)
class Example:
    """A service, with a client of its own if `client` is not empty."""

    name: str
    folder: str
    service: Sequence[str]
    client: Sequence[str] = ()
    prepare: Sequence[Sequence[str]] = ()
    # Whether it follows the denylist, so that it refuses a revoked token within a second.
    follows: bool = False

    def find_missing(self) -> list[str]:
        """Return the programs that are not installed."""
        needed = {command[0] for command in (*self.prepare, self.service)}
        return sorted(name for name in needed if "/" not in name and _find(name) is None)

    def make(self, parent: Path) -> Path:
        """Build it in a folder of its own below `parent`. Skips where no registry answers."""
        folder = parent / self.folder
        if not folder.exists():
            ignored = shutil.ignore_patterns("node_modules", "target", "bin", "__pycache__")
            shutil.copytree(FOLDER / self.folder, folder, ignore=ignored)
            for command in self.prepare:
                self._prepare(command, folder)
        return folder

    def _prepare(self, command: Sequence[str], folder: Path) -> None:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        told = done.stdout + done.stderr
        if done.returncode != 0 and _NO_REGISTRY.search(told):
            pytest.skip(f"THE EXAMPLE {self.name.upper()} WAS NOT RUN: no registry answers")
        assert done.returncode == 0, told


@contextmanager
def running(
    command: Sequence[str], folder: Path, log: Path, environment: dict[str, str]
) -> Iterator[None]:
    """Run a program until the end of the block; what it prints goes to `log`."""
    with log.open("ab") as printed:
        child = subprocess.Popen(
            [_find(command[0]) or command[0], *command[1:]],
            cwd=folder,
            env=clean_environment() | environment,
            stdout=printed,
            stderr=printed,
        )
        try:
            yield
        finally:
            child.terminate()
            child.wait()


def ask_with(command: Sequence[str], folder: Path, environment: dict[str, str]) -> str:
    """Run a client to its end, and return what it prints."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command,
        cwd=folder,
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _find(program: str) -> str | None:
    beside = _BESIDE / program
    return str(beside) if beside.exists() else shutil.which(program, path=_SEARCHED)


_SEARCHED: Final = f"{clean_environment().get('PATH', '')}:/usr/local/sbin:/usr/sbin"
_PYTHON_CLIENT: Final = (sys.executable, "client.py")
EXAMPLES: Final = (
    Example(
        name="aiohttp",
        folder="python",
        service=(sys.executable, "aiohttp_service.py"),
        client=_PYTHON_CLIENT,
        follows=True,
    ),
    Example(
        name="fastapi",
        folder="python",
        service=(sys.executable, "-m", "uvicorn", "fastapi_service:app", "--port", "{port}"),
        client=_PYTHON_CLIENT,
        follows=True,
    ),
    Example(
        name="node",
        folder="node",
        prepare=(_NPM_CI,),
        service=("node", "service.mjs"),
        client=("node", "client.mjs"),
    ),
    Example(
        name="go",
        folder="go",
        prepare=(("go", "build", "-mod=readonly", "-o", "bin/", "./..."),),
        service=("bin/service",),
        client=("bin/client",),
    ),
    Example(
        name="spring",
        folder="spring",
        prepare=(
            ("mvn", "-q", "compile", "dependency:copy-dependencies", _LIBRARIES),
            ("sha256sum", "--check", "--quiet", "libraries.sha256"),
        ),
        service=(*_JAVA, "orders.Service"),
        client=(*_JAVA, "orders.Client"),
    ),
)
PROXIES: Final = {
    "nginx": ("nginx", "-p", "{folder}", "-c", "{folder}/nginx.conf"),
    "envoy": ("envoy", "-c", "{folder}/envoy.yaml", "--concurrency", "1", "-l", "warning"),
}


def find_proxy(name: str) -> str | None:
    """Return the path of a proxy, or None if it is not installed."""
    return _find(name)
