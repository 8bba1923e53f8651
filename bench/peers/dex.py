"""dex, which keeps everything in memory: the program that `DEX` names, or the one on the path.

Its release 2.45 has no client_credentials, which its main branch has had since March 2026. So
building it is left to whoever wants the figure: in a clone of its repository,

    CGO_ENABLED=0 go build -o dex ./cmd/dex
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from testbed.ports import find_free_port

from bench.peers.program import find_program, name_clients, running, write_client_requests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.contest import Contestant

NAME: Final = "dex, memory, ES256"
# With the scope openid it would sign twice: an ID token too.
_BODY: Final = "grant_type=client_credentials"
# It does not start without a connector, and the database of passwords is one. It signs with RS256
# unless it is told otherwise, which costs more than ES256.
_CONFIG: Final = """
issuer: http://127.0.0.1:{port}
storage: {{type: memory}}
web: {{http: "127.0.0.1:{port}"}}
logger: {{level: error}}
oauth2: {{grantTypes: [client_credentials]}}
signer: {{type: local, config: {{keysRotationPeriod: 6h, algorithm: ES256}}}}
expiry: {{idTokens: 10m}}
enablePasswordDB: true
staticClients:
{clients}
"""


@contextmanager
def open_dex(folder: Path) -> Iterator[Contestant]:
    """Run it with 100 clients, whose secrets it compares as they are."""
    program = find_program(os.environ.get("DEX") or "dex", "DEX=path names one that was built")
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
