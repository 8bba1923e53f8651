"""Getting a peer, starting it, and waiting until it gives a token."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from base64 import b64encode
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testbed.processes import ROOT
from testbed.waiting import wait_until

from bench.contest import Contestant
from bench.sender import write_posts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# What was installed stays here, so that the next run begins at once.
INSTALLED: Final = ROOT / "build" / "peers"
_FETCH_SECONDS: Final = 300.0
_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 20.0
_OK: Final = b" 200 "
CLIENTS: Final = 100  # of an issuer that knows clients with a secret


class MissingPeerError(Exception):
    """A peer cannot be had on this machine; the message says why."""


def find_program(name: str, get: str) -> str:
    """Return the absolute path of a program: of one on the path, or of one whose path is given.

    Raises MissingPeerError, which says how to `get` it.
    """
    path = shutil.which(name)
    if path is None:
        raise MissingPeerError(f"{name} is not installed ({get})")
    return str(Path(path).absolute())


def fetch(command: Sequence[str], cwd: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run what installs something. Raises MissingPeerError if that fails, or takes too long."""
    try:
        subprocess.run(
            command,
            cwd=cwd,
            env=os.environ | dict(environment or {}),
            check=True,
            capture_output=True,
            text=True,
            timeout=_FETCH_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout).strip().splitlines() or ["it says nothing"]
        raise MissingPeerError(f"{command[0]} failed: {lines[-1]}") from error
    except subprocess.TimeoutExpired as error:
        raise MissingPeerError(f"{command[0]} took more than {_FETCH_SECONDS:.0f} s") from error


def name_clients() -> list[tuple[str, str]]:
    """Return the names and the secrets of the clients."""
    return [(f"client{number}", f"secret{number}") for number in range(CLIENTS)]


def write_client_requests(path: Path, target: str, body: str) -> Path:
    """Write a request of each client, which shows its secret by HTTP Basic, to a file."""
    credentials = [b64encode(f"{name}:{secret}".encode()) for name, secret in name_clients()]
    headers = [f"Authorization: Basic {each.decode()}\r\n" for each in credentials]
    return write_posts(path, target, headers, body)


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    port: int,
    requests: Path,
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    database: tuple[int, ...] = (),
) -> Iterator[Contestant]:
    """Run a peer in a folder until the end of the block; yields it when it has given a token."""
    request = requests.read_bytes().split(b"\0")[0]
    with (folder / f"{requests.name}.log").open("ab") as log:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | dict(environment or {}),
            stdout=log,
            stderr=log,
            start_new_session=True,  # some are scripts that start the program
        )
    try:
        try:
            wait_until(lambda: child.poll() is not None or _gives(port, request), _START_SECONDS)
        except TimeoutError:
            raise MissingPeerError("it gives no token") from None
        if child.poll() is not None:
            last = (folder / f"{requests.name}.log").read_text().strip().splitlines()[-1:]
            raise MissingPeerError(f"it ended: {' '.join(last)}")
        yield Contestant(
            name=name, port=port, requests=requests, service=(child.pid,), database=database
        )
    finally:
        _stop(child)


def _stop(child: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):  # all of them have ended
            os.killpg(child.pid, number)
        with suppress(subprocess.TimeoutExpired):
            child.wait(_STOP_SECONDS)
            return


def _gives(port: int, request: bytes) -> bool:
    """Tell whether a request gets a token."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request)
            return _OK in connection.recv(65_536).split(b"\r\n", 1)[0] + b" "
    except OSError:
        return False
