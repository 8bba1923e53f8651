"""A PgBouncer in transaction mode, in front of a database on a socket."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, unquote, urlsplit

from testbed.ports import find_free_port
from testbed.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROGRAM: Final = os.environ.get("PGBOUNCER") or shutil.which(
    "pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin"
)
_IGNORED: Final = (
    "lock_timeout,statement_timeout,idle_in_transaction_session_timeout,synchronous_commit,"
    "default_transaction_isolation,plan_cache_mode,jit,enable_seqscan,enable_bitmapscan,"
    "enable_hashjoin,enable_mergejoin,extra_float_digits"
)
_FIRST_WITH_PREPARED_STATEMENTS: Final = (1, 21)


def can_pool() -> bool:
    """Tell whether there is a PgBouncer."""
    return PROGRAM is not None


def keeps_prepared_statements() -> bool:
    """Tell whether there is a PgBouncer that can keep prepared statements."""
    if PROGRAM is None:
        return False
    told = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"PgBouncer (\d+)\.(\d+)", told.stdout)
    return version is not None and (
        (int(version[1]), int(version[2])) >= _FIRST_WITH_PREPARED_STATEMENTS
    )


@asynccontextmanager
async def running_pooler(
    direct_url: str, folder: Path, *, prepared: int = 200, ignored: str = _IGNORED
) -> AsyncIterator[str]:
    """Run PgBouncer with three connections; yield the URL that leads through it.

    `prepared`: how many statements of a client it keeps. `ignored`: which settings of sessions.
    """
    parts, port = urlsplit(direct_url), find_free_port()
    options, name = parse_qs(parts.query), parts.path.strip("/")
    socket = Path(options["host"][0])
    login = f"user={parts.username} password={unquote(parts.password or '')}"
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": "transaction",
        "default_pool_size": 3,
        "ignore_startup_parameters": ignored,
    }
    if keeps_prepared_statements():
        settings["max_prepared_statements"] = prepared
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{name} = host={socket} port={options['port'][0]} {login}\n[pgbouncer]\n"
        + "".join(f"{setting}={value}\n" for setting, value in settings.items())
    )
    command = [str(PROGRAM), str(folder / "pgbouncer.ini")]
    if os.geteuid() == 0:  # it refuses to run as root, and must reach Postgres's socket
        owner = socket.stat()  # noqa: ASYNC240 - nothing else runs meanwhile
        ids = f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}"
        command = ["setpriv", *ids, "--clear-groups", *command]
        os.chown(folder, owner.st_uid, owner.st_gid)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: ASYNC220
    url = f"postgresql://{parts.username}@127.0.0.1:{port}/{name}"
    try:
        await until(lambda: _answers(url, process, folder / "log"))
        yield url
    finally:
        process.kill()  # or it would wait for its clients
        process.wait(10)


async def _answers(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    import asyncpg  # noqa: PLC0415 - the pool would refuse what this pooler cannot do

    try:
        connection = await asyncpg.connect(url, timeout=2)
    except (OSError, asyncpg.PostgresError):
        if process.poll() is not None:
            raise AssertionError(log.read_text()) from None  # noqa: ASYNC240
        return False
    await connection.close()
    return True
