"""dex, which keeps everything in memory: whatever program of that name is installed here.

A release that knows client_credentials is newer than 2.45. Its Go module has no version that can be
pinned, so building it is left to who wants the figure.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from testbed.ports import find_free_port

from bench.peers.program import find_program, name_clients, running, write_client_requests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.contest import Contestant

NAME: Final = "dex, memory"
_BODY: Final = "grant_type=client_credentials&scope=openid"
_CONFIG: Final = """
issuer: http://127.0.0.1:{port}
storage: {{type: memory}}
web: {{http: "127.0.0.1:{port}"}}
logger: {{level: error}}
oauth2:
  skipApprovalScreen: true
  grantTypes: [client_credentials]
enablePasswordDB: true
staticClients:
{clients}
"""


@contextmanager
def open_dex(folder: Path) -> Iterator[Contestant]:
    """Run it with 100 clients, whose secrets it compares as they are."""
    program = find_program("dex", "build cmd/dex of its repository")
    port = find_free_port()
    clients = "\n".join(
        f"- {{id: {name}, secret: {secret}, name: {name}}}" for name, secret in name_clients()
    )
    config = folder / "dex.yaml"
    config.write_text(_CONFIG.format(port=port, clients=clients))
    requests = write_client_requests(folder / "dex", "/token", _BODY)
    command = [program, "serve", str(config)]
    with running(NAME, command, port, requests, folder=folder) as peer:
        yield peer
