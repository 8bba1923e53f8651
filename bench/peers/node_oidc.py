"""node-oidc-provider, which keeps everything in memory: from npm, pinned with hashes."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from testbed.ports import find_free_port

from bench.peers.program import (
    CLIENTS,
    INSTALLED,
    fetch,
    find_program,
    running,
    write_client_requests,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.contest import Contestant

NAME: Final = "node-oidc-provider, memory"
_SOURCE: Final = Path(__file__).parent / "node_oidc"
_BODY: Final = "grant_type=client_credentials&scope=orders:read%20orders:write"


@contextmanager
def open_node_oidc(folder: Path) -> Iterator[Contestant]:
    """Run it with 100 clients, which get ES256 tokens of type JWT."""
    node, npm = find_program("node", "apt install nodejs"), find_program("npm", "apt install npm")
    home = INSTALLED / "node_oidc"
    home.mkdir(parents=True, exist_ok=True)
    for file in _SOURCE.iterdir():
        shutil.copy(file, home)
    if not (home / "node_modules").exists():
        fetch([npm, "ci", "--ignore-scripts", "--fetch-retries=1"], home)
    requests = write_client_requests(folder / "node_oidc", "/token", _BODY)
    port = find_free_port()
    command = [node, str(home / "server.mjs"), str(port), str(CLIENTS)]
    with running(
        NAME, command, port, requests, folder=folder, environment={"NODE_ENV": "production"}
    ) as peer:
        yield peer
