"""Three nodes of Postgres under Patroni, and the etcd that they agree by, all on loopback.

The programs are those of Debian (`etcd-server`, `patroni`). What runs here was started here, and
signals go to nothing else.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any, Final, Self

from testbed.ports import find_free_port
from testbed.processes import list_children
from testbed.waiting import wait_until
from tokensvc.store.postgres_binaries import find_binaries, unprivileged_user

MEMBERS: Final = 3
_USER: Final = "tokensvc"
_SCOPE: Final = "tokensvc"
_PATIENCE: Final = 600.0
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def has_patroni() -> bool:
    """Tell whether this machine has all the programs."""
    return all(shutil.which(program) for program in ("etcd", "patroni"))


class Member:
    """One node: a Patroni and the Postgres that it runs."""

    def __init__(self, folder: Path, password: str) -> None:
        self.port, self.api_port = find_free_port(), find_free_port()
        self.name = f"node-{self.port}"
        self.data = folder / self.name
        self.url = f"postgresql://{_USER}:{password}@127.0.0.1:{self.port}/postgres"
        self.child: subprocess.Popen[bytes] | None = None

    def ask(self, path: str) -> Any:  # noqa: ANN401 - what the answer is depends on the path
        """Return what Patroni answers with 200, None if it answers something else, or nothing."""
        try:
            with _DIRECT.open(f"http://127.0.0.1:{self.api_port}{path}", timeout=3) as answer:
                return json.loads(answer.read())
        except (OSError, urllib.error.HTTPError, ValueError):
            return None

    def kill(self) -> None:
        """Kill Patroni and all of Postgres at once, as if the host were lost."""
        doomed: list[int] = []
        if (self.data / "postmaster.pid").exists():
            postmaster = int((self.data / "postmaster.pid").read_text().splitlines()[0])
            doomed = [postmaster, *list_children(postmaster)]
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.child = None
        for process_id in doomed:
            try:
                os.kill(process_id, signal.SIGKILL)
            except ProcessLookupError:
                continue


class PatroniCluster:
    """The nodes. `primary` is the one that leads at present.

    With `synchronous` a commit waits for one of the other two.
    """

    def __init__(self, *, synchronous: bool) -> None:
        self._synchronous = synchronous
        self._password = secrets.token_hex(12)
        self._uid, self._gid = unprivileged_user(None)
        self.folder = Path(tempfile.mkdtemp(prefix="tokensvc-patroni-"))
        self.folder.chmod(0o755)
        os.chown(self.folder, self._uid, self._gid)
        self._etcd_port, self._peer_port = find_free_port(), find_free_port()
        self._etcd: subprocess.Popen[bytes] | None = None
        self.members = [Member(self.folder, self._password) for _ in range(MEMBERS)]
        hosts = ",".join(f"127.0.0.1:{member.port}" for member in self.members)
        self.url = f"postgresql://{_USER}:{self._password}@{hosts}/postgres"

    @property
    def primary(self) -> Member:
        """The member that leads. Raises LookupError while none does."""
        for member in self.members:
            if member.ask("/primary") is not None:
                return member
        raise LookupError("no member leads")

    def __enter__(self) -> Self:
        """Start everything; return when all follow."""
        client = f"http://127.0.0.1:{self._etcd_port}"
        peer = f"http://127.0.0.1:{self._peer_port}"
        self._etcd = self._spawn(
            "etcd",
            *("--data-dir", self.folder / "etcd", "--name", "only"),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"only={peer}"),
        )
        for member in self.members:
            self.start(member)
            wait_until(self.has_leader, _PATIENCE)
        self.wait_until_whole()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""
        for member in self.members:
            member.kill()
        if self._etcd is not None:
            self._etcd.kill()
            self._etcd.wait()
        time.sleep(0.5)  # those that have lost their parent notice
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, member: Member) -> None:
        """Start a Patroni, for the first time or again."""
        path = self.folder / f"{member.name}.yml"
        path.write_text(json.dumps(self._configure(member)))  # all JSON is YAML
        path.chmod(0o644)
        member.child = self._spawn("patroni", path, log=member.name)

    def has_leader(self) -> bool:
        """Tell whether a member leads."""
        return any(member.ask("/primary") is not None for member in self.members)

    def wait_until_whole(self) -> None:
        """Return when one leads and the other two follow it, one of them in step if that counts."""
        wait_until(self._is_whole, _PATIENCE)

    def _is_whole(self) -> bool:
        state = next((found for m in self.members if (found := m.ask("/cluster"))), None)
        if state is None:
            return False
        roles = [(one["role"], one["state"]) for one in state["members"]]
        followers = [role for role, how in roles if how in {"running", "streaming"}]
        is_in_step = not self._synchronous or "sync_standby" in followers
        return len(followers) == MEMBERS and "leader" in followers and is_in_step

    def _configure(self, member: Member) -> dict[str, Any]:
        login = {"username": _USER, "password": self._password}
        scram = "127.0.0.1/32 scram-sha-256"
        return {
            "scope": _SCOPE,
            "name": member.name,
            "restapi": {
                "listen": f"127.0.0.1:{member.api_port}",
                "connect_address": f"127.0.0.1:{member.api_port}",
            },
            "etcd3": {"hosts": f"127.0.0.1:{self._etcd_port}"},
            "bootstrap": {
                "dcs": {
                    "ttl": 20,
                    "loop_wait": 2,
                    "retry_timeout": 3,
                    "synchronous_mode": self._synchronous,
                    "postgresql": {
                        "use_pg_rewind": True,
                        "parameters": {"max_connections": 60, "shared_buffers": "16MB"},
                    },
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums"],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{member.port}",
                "connect_address": f"127.0.0.1:{member.port}",
                "data_dir": str(member.data),
                "bin_dir": str(find_binaries(None, None)),
                "pgpass": str(self.folder / f"{member.name}.pgpass"),
                "authentication": {"superuser": login, "replication": login, "rewind": login},
                "parameters": {"unix_socket_directories": str(self.folder)},
                "pg_hba": [f"host replication all {scram}", f"host all all {scram}"],
                "remove_data_directory_on_rewind_failure": True,
                "remove_data_directory_on_diverged_timelines": True,
            },
        }

    def _spawn(
        self, program: str, *arguments: str | Path, log: str = "etcd-log"
    ) -> subprocess.Popen[bytes]:
        user: dict[str, Any] = {"user": self._uid, "group": self._gid, "extra_groups": []}
        with self._open_log(log) as file:
            return subprocess.Popen(
                [program, *arguments],
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                **(user if os.geteuid() == 0 else {}),
            )

    def _open_log(self, name: str) -> IO[bytes]:
        return (self.folder / f"{name}.log").open("ab")
