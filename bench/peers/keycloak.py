"""Keycloak with its in-memory database: from Maven, pinned by version."""

from __future__ import annotations

import json
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from testbed.ports import find_free_port

from bench.peers.program import (
    INSTALLED,
    fetch,
    find_program,
    name_clients,
    running,
    write_client_requests,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.contest import Contestant

NAME: Final = "Keycloak, H2 in memory, ES256"
_VERSION: Final = "26.7.3"
_ARTIFACT: Final = f"org.keycloak:keycloak-quarkus-dist:{_VERSION}:zip"
_BODY: Final = "grant_type=client_credentials"
_OPTIONS: Final = (
    "--db=dev-mem",
    "--http-enabled=true",
    "--http-host=127.0.0.1",
    "--hostname-strict=false",
    "--cache=local",
    "--log-level=error",
    "--import-realm",
)


@contextmanager
def open_keycloak(folder: Path) -> Iterator[Contestant]:
    """Run it with 100 clients of one realm, whose tokens are signed with ES256."""
    home = _install()
    realm = home / "data" / "import" / "bench-realm.json"
    realm.parent.mkdir(parents=True, exist_ok=True)
    realm.write_text(json.dumps(_build_realm()))
    port = find_free_port()
    target = "/realms/bench/protocol/openid-connect/token"
    requests = write_client_requests(folder / "keycloak", target, _BODY)
    command = ["bash", str(home / "bin" / "kc.sh"), "start", f"--http-port={port}", *_OPTIONS]
    with running(NAME, command, port, requests, folder=folder) as peer:
        yield peer


def _build_realm() -> dict[str, Any]:
    clients = [
        {
            "clientId": name,
            "secret": secret,
            "serviceAccountsEnabled": True,
            "standardFlowEnabled": False,
            "attributes": {"access.token.signed.response.alg": "ES256"},
        }
        for name, secret in name_clients()
    ]
    return {
        "realm": "bench",
        "enabled": True,
        "sslRequired": "none",
        "accessTokenLifespan": 600,
        "defaultSignatureAlgorithm": "ES256",
        "clients": clients,
    }


def _install() -> Path:
    find_program("java", "apt install openjdk-17-jre-headless")
    home = INSTALLED / f"keycloak-{_VERSION}"
    if not home.exists():
        INSTALLED.mkdir(parents=True, exist_ok=True)
        maven = find_program("mvn", "apt install maven")
        copy = [maven, "-q", "-B", "dependency:copy", f"-Dartifact={_ARTIFACT}"]
        fetch([*copy, f"-DoutputDirectory={INSTALLED}"], INSTALLED)
        archive = INSTALLED / f"keycloak-quarkus-dist-{_VERSION}.zip"
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(INSTALLED)
        archive.unlink()
    return home
