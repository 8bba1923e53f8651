"""Does any request fail while replicas go to this version one after the other, and back again?

    python -m bench.upgrade [--before COMMIT]

Two replicas of an earlier commit serve clients that exchange and revoke. The schema is migrated by
this version, each replica is restarted with it, and then with the earlier one again, on the schema
of this one. The earlier commit is checked out into a temporary folder and installed there, which
needs a package index. The exit code is 1 if any request failed.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
from testbed.balancer import Balancer
from testbed.keys import add_keys_to
from testbed.ports import find_free_port
from testbed.processes import EXECUTABLE, ROOT, ServiceProcess

from tokensvc.store.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BEFORE: Final = "1745ca2"
_CLIENTS: Final = 8
_AMONG_BOTH: Final = 5.0  # seconds for which both versions serve together


@contextmanager
def _installed(commit: str, folder: Path) -> Iterator[list[str]]:
    """Lend the command of an earlier commit."""
    tree = folder / "before"
    subprocess.run(["git", "worktree", "add", "--detach", tree, commit], cwd=ROOT, check=True)
    try:
        subprocess.run(["make", "--silent", ".venv/.run"], cwd=tree, check=True)
        yield [str(tree / ".venv" / "bin" / "tokensvc")]
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)


def _start_pair(folder: Path, url: str, command: Sequence[str]) -> list[ServiceProcess]:
    port = find_free_port()
    shared = {
        "TOKENSVC_DATABASE_URL": url,
        "TOKENSVC_ISSUER": f"http://127.0.0.1:{port}",
        "TOKENSVC_KEYS_DIR": str(folder / "keys"),
        "TOKENSVC_LOG_LEVEL": "warning",
    }
    replicas = []
    for name, own in (("one", {"TOKENSVC_PORT": str(port)}), ("two", {})):
        (folder / name).mkdir()
        replicas.append(ServiceProcess(folder / name, (), shared | own, command=command))
        replicas[-1].wait_until_ready()
    return replicas


async def _roll(replicas: Sequence[ServiceProcess], command: Sequence[str]) -> None:
    """Restart one after the other with another version."""
    for replica in replicas:
        await asyncio.to_thread(replica.stop)
        replica.command = list(command)
        await asyncio.to_thread(replica.start)
        await asyncio.to_thread(replica.wait_until_ready)
        await asyncio.sleep(_AMONG_BOTH)


async def _play(replicas: Sequence[ServiceProcess], url: str, before: Sequence[str]) -> int:
    keys = await add_keys_to(url, _CLIENTS)
    failed = 0
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        for name, command in (("to this version", [str(EXECUTABLE)]), ("back", before)):
            balancer = Balancer([replica.url for replica in replicas], session)
            using = [asyncio.create_task(balancer.use(key)) for key in keys]
            if command != before:
                replicas[0].command = list(command)
                migrated = await asyncio.to_thread(replicas[0].cli, "migrate")
                print(f"migrated: {migrated.stdout.strip() or migrated.stderr.strip()}")
            await _roll(replicas, command)
            balancer.is_stopped = True
            await asyncio.gather(*using)
            bad = {what: n for what, n in balancer.outcomes.items() if what != 200}
            print(f"{name}: {balancer.outcomes[200]} requests answered with 200; others: {bad}")
            failed += sum(bad.values())
    return int(failed > 0)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.upgrade")
    parser.add_argument("--before", default=BEFORE, help="the earlier commit")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tokensvc-upgrade-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        postgres = EmbeddedPostgres(folder / "postgres")
        with _installed(options.before, folder) as before:
            url = postgres.start()
            replicas: list[ServiceProcess] = []
            try:
                replicas += _start_pair(folder, url, before)
                return asyncio.run(_play(replicas, url, before))
            finally:
                for replica in replicas:
                    replica.stop()
                postgres.stop()


if __name__ == "__main__":
    sys.exit(main())
