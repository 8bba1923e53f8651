"""Set-ups as other people have them, each started for real: ready, or one line that says why.

No set-up prints a traceback, whatever comes of it.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import pytest
from testbed.ports import find_free_port

from tests.e2e.calls import exchange
from tests.services import starting
from tests.soak.setup_rows import ROWS
from tokensvc.store.embedded import EmbeddedPostgres
from tokensvc.store.primary import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from testbed.processes import ServiceProcess


LOG_LEVELS_OF_A_SERVICE_THAT_WORKS = {"info", "warning"}


class Ground(NamedTuple):
    """What the set-ups stand on: one Postgres with TLS, on a port and on a socket."""

    administrator: str
    words: Mapping[str, str]


@pytest.fixture(scope="module")
def ground(session_folder: Path) -> Iterator[Ground]:
    folder, port = session_folder / "setups", find_free_port()
    certificate = _make_certificate(session_folder)
    server = EmbeddedPostgres(
        folder,
        options=("fsync=off", "listen_addresses=127.0.0.1", f"port={port}", "max_connections=200"),
    )
    administrator = server.start()
    socket = re.findall(r"host=([^&]*)", administrator)[0]
    administrator = administrator.replace("port=5432", f"port={port}")
    asyncio.run(_arrange(administrator, certificate))
    words = {"host": f"localhost:{port}", "socket": f"{quote(socket, safe='')}:{port}"}
    words |= {"plain_socket": socket, "port": str(port), "ca": str(certificate / "server.crt")}
    yield Ground(administrator, words)
    server.stop()


def _make_certificate(parent: Path) -> Path:
    """Make a key and a certificate of its own for localhost; return the folder of both."""
    folder = parent / "tls"
    folder.mkdir()
    names = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    files = ("-keyout", folder / "server.key", "-out", folder / "server.crt")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *names, *files],
        check=True,
        capture_output=True,
    )
    return folder


async def _arrange(url: str, certificate: Path) -> None:
    """Switch TLS on, and refuse connections by TCP without it."""
    connection = await connect(url)
    data = Path(await connection.fetchval("show data_directory"))
    for name in ("server.key", "server.crt"):
        (data / name).write_bytes((certificate / name).read_bytes())
        owner = data.stat()
        os.chown(data / name, owner.st_uid, owner.st_gid)
        (data / name).chmod(0o600)
    (data / "pg_hba.conf").write_text(
        "local all all scram-sha-256\nhostssl all all all scram-sha-256\n"
    )
    await connection.execute("alter system set ssl = on")
    await connection.execute("select pg_reload_conf()")
    await connection.close()


async def _run(url: str, *statements: str) -> None:
    connection = await connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


@pytest.fixture
def start(session_folder: Path) -> Iterator[Callable[..., ServiceProcess]]:
    with starting(session_folder) as function:
        yield function


def check_ready(process: ServiceProcess, said: str) -> None:
    process.wait_until_ready()
    assert exchange(process.url, process.admin_key, scope="tokensvc:admin")
    assert re.search(said, process.output + process.errors)
    process.stop()


def check_refused(process: ServiceProcess, pattern: str) -> None:
    assert process.wait() == 1, process.errors
    lines = [line for line in process.errors.splitlines() if not line.startswith("{")]
    assert len(lines) == 1, process.errors
    assert lines[0].startswith("tokensvc: ")
    assert re.search(pattern, lines[0]), lines[0]
    assert "geheim" not in process.errors


@pytest.mark.parametrize(
    "row", [pytest.param((number, row), id=row.name) for number, row in enumerate(ROWS)]
)
def test_a_set_up_becomes_ready_or_says_why_in_one_line(ground, start, row):
    number, set_up = row
    name = f"setup_{number}"
    words = {"name": name, **ground.words}

    def fill(text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: words.get(match[1], match[0]), text)

    asyncio.run(_run(ground.administrator, *map(fill, set_up.sql)))
    own = ground.administrator.replace("/postgres?", f"/{name}?")
    asyncio.run(_run(own if set_up.inside else ground.administrator, *map(fill, set_up.inside)))
    url = fill(f"postgresql://{set_up.user}@{set_up.address}")
    given = {"TOKENSVC_DATABASE_URL": url} | {n: fill(v) for n, v in set_up.settings.items()}
    process = start(*set_up.arguments, **given)
    try:
        if set_up.refused:
            check_refused(process, fill(set_up.refused))
        else:
            check_ready(process, set_up.said)
    finally:
        assert "Traceback" not in process.errors + process.output, process.errors
