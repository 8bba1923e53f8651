"""Set-ups as other people have them, each started for real: ready, or one line that says why.

No set-up prints a traceback, whatever comes of it.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import pytest
from testbed.ports import find_free_port
from testbed.processes import EXECUTABLE, ROOT, list_children
from testbed.waiting import wait_until

from tests.e2e.calls import exchange
from tests.services import starting
from tests.soak.setups_of_databases import POSTGRES, URLS
from tests.soak.setups_of_machines import ADDRESSES, CONTAINERS, KEY, PID_1, SETTINGS
from tokensvc.store.embedded import EmbeddedPostgres
from tokensvc.store.primary import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from testbed.processes import ServiceProcess

    from tests.soak.setup_row import SetUp


ROWS = (*POSTGRES, *URLS, *CONTAINERS, *ADDRESSES, *SETTINGS)


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
    wait_until(lambda: re.search(said, process.output + process.errors))
    if process.command[:2] == ["unshare", "--pid"]:
        os.kill(list_children(process.pid)[0], signal.SIGTERM)
        assert process.wait() == 0
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
def test_a_set_up_becomes_ready_or_says_why_in_one_line(ground, start, session_folder, row):
    number, set_up = row
    words = {"name": f"setup_{number}", **ground.words}
    words |= {"key": KEY["TOKENSVC_MASTER_KEY"], "uid": str(set_up.as_uid or 0)}

    def fill(text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: words.get(match[1], match[0]), text)

    asyncio.run(_run(ground.administrator, *map(fill, set_up.sql)))
    inside = ground.administrator.replace("/postgres?", f"/{words['name']}?")
    if set_up.inside:
        asyncio.run(_run(inside, *map(fill, set_up.inside)))
    words["url"] = fill(f"postgresql://{set_up.user}@{set_up.address}")
    words["own"] = str(find_free_port())
    given = {"TOKENSVC_DATABASE_URL": words["url"], "TOKENSVC_PORT": words["own"]}
    given |= {name: fill(value) for name, value in set_up.settings.items()}
    folder = Path(tempfile.mkdtemp(dir=session_folder))
    folder.chmod(0o755)
    for name, text in set_up.files.items():
        (folder / name).write_text(fill(text), "utf-16" if name.endswith(".utf16") else "utf-8")
    command = build_command(set_up, fill(set_up.before), folder)
    process = start(*set_up.arguments, command=command, folder=folder, **given)
    try:
        if set_up.refused:
            check_refused(process, fill(set_up.refused))
        else:
            check_ready(process, fill(set_up.said))
    finally:
        assert "Traceback" not in process.errors + process.output, process.errors


def test_f17_workers_whose_master_key_opens_nothing_say_so_in_one_line(start, database_url):
    first = start(TOKENSVC_DATABASE_URL=database_url)
    first.wait_until_ready()
    first.stop()
    process = start("--workers", "3", TOKENSVC_DATABASE_URL=database_url, **KEY)
    check_refused(process, "master key")


def build_command(set_up: SetUp, before: str, folder: Path) -> list[str]:
    """Return how the service of a set-up is started. Skips if this machine cannot do it."""
    command = [str(EXECUTABLE)]
    if (set_up.as_uid is not None or "mount" in before or before == PID_1) and os.geteuid() != 0:
        pytest.skip("only root can make such a set-up")
    if set_up.as_uid is not None:
        python = f"/usr/bin/python3.{sys.version_info.minor}"
        if not Path(python).exists():
            pytest.skip(f"needs {python}, which every user may run")
        if not all(above.stat().st_mode & 0o001 for above in (ROOT, *ROOT.parents)):
            pytest.skip(f"needs a checkout that every user may enter, and {ROOT} is none")
        os.chown(folder, set_up.as_uid, set_up.as_uid)
        paths = ":".join(path for path in sys.path if "site-packages" in path)
        become = ("setpriv", f"--reuid={set_up.as_uid}", f"--regid={set_up.as_uid}")
        packages = f"PYTHONPATH={ROOT / 'src'}:{paths}"
        command = [*become, "--clear-groups", "env", packages, python, "-m", "tokensvc"]
    if before == PID_1:
        return ["unshare", "--pid", "--fork", "--mount-proc", *command]
    if not before:
        return command
    return [
        *(["unshare", "-m"] if "mount " in before else []),
        "sh",
        "-c",
        f'{before} && exec "$@"',
        "sh",
        *command,
    ]
