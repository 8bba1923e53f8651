"""`make demo`: a service with a past, on loopback.

It lives in a folder of its own, `.tokensvc-demo`, with its own Postgres. The first run fills it, a
later run serves the same again; to begin anew, delete the folder. It uses no other database.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from demo.filling import fill
from demo.living import live
from tokensvc.core.errors import StartRefusedError, TokensvcError
from tokensvc.issuer.database import embedded_postgres, open_database
from tokensvc.logs.configuration import configure_logs
from tokensvc.settings import load_settings

if TYPE_CHECKING:
    from tokensvc.store.pool import Database

_MARK: Final = "demo.json"
_PATIENCE: Final = 60.0
_DEFAULTS: Final = {"TOKENSVC_MAX_TOKEN_TTL": "86400", "TOKENSVC_LOG_LEVEL": "warning"}
_FIXED: Final = {"TOKENSVC_DATABASE_URL", "TOKENSVC_DATA_DIR", "TOKENSVC_KEYS_DIR"}


def main() -> int:
    """Fill what is empty, and serve it until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".tokensvc-demo"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fill-only", action="store_true", help="do not serve")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        environment = build_environment(chosen.folder)
        configure_logs("warning")
        asyncio.run(_run(chosen.folder, environment, chosen.seed, serves=not chosen.fill_only))
    except TokensvcError as error:
        print(f"make demo: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def build_environment(folder: Path) -> dict[str, str]:
    """Return the environment of the service. Raises StartRefusedError for another database."""
    named = sorted(_FIXED & os.environ.keys())
    if named:
        raise StartRefusedError(
            f"the demo has a database of its own and uses no other one: unset {', '.join(named)}"
        )
    own = {
        "TOKENSVC_DATA_DIR": str(folder),
        "TOKENSVC_KEYS_DIR": str(folder / "keys"),
    }
    return {**_DEFAULTS, **os.environ, **own}


def check_port(host: str, port: int) -> None:
    """Refuse a port that something else uses: whoever opens it would look at that."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise StartRefusedError(
            f"port {port} of {host} cannot be used: {error.strerror}. Set TOKENSVC_PORT to another"
        ) from None


def read_mark(folder: Path) -> dict[str, Any] | None:
    """Return what the demo has noted in its folder, None if that is to be filled.

    A folder that was filled in part is emptied. Raises StartRefusedError for a folder of others.
    """
    mark = folder / _MARK
    if mark.exists():
        noted: dict[str, Any] = json.loads(mark.read_text("utf-8"))
        if noted.get("filled"):
            return noted
        shutil.rmtree(folder)
    elif folder.exists() and any(folder.iterdir()):
        raise StartRefusedError(f"{folder} is not a folder of the demo: it has no {_MARK}")
    return None


def write_mark(folder: Path, **facts: object) -> None:
    """Note something in the folder. It holds an admin key of the demo, so nobody else reads it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / _MARK, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(facts, file)


async def _run(folder: Path, environment: dict[str, str], seed: int, *, serves: bool) -> None:
    settings = load_settings(environment)
    if serves:
        check_port(settings.host, settings.port)
    noted = read_mark(folder)
    if noted is None:
        write_mark(folder, filled=False)
    postgres = embedded_postgres(settings)
    try:
        database = await open_database(await asyncio.to_thread(postgres.start), max_size=3)
        try:
            if noted is None:
                print("filling a database with a month of use ...", flush=True)
                key = await fill(database, settings, seed)
                noted = {"filled": True, "seed": seed, "admin_key": key}
                write_mark(folder, **noted)
            if serves:
                await _serve(environment, settings.issuer_url, noted, database)
        finally:
            await database.close()
    finally:
        await asyncio.to_thread(postgres.stop)


async def _serve(
    environment: dict[str, str], url: str, noted: dict[str, Any], database: Database
) -> None:
    command = [sys.executable, "-m", "tokensvc", "serve"]
    child = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=subprocess.DEVNULL
    )
    life = asyncio.create_task(live(database, noted["seed"]))
    try:
        if await _is_ready(url, child):
            print(f"{url}/dashboard/\nadmin key: {noted['admin_key']}\nCtrl-C ends it", flush=True)
        await child.wait()
    finally:
        if child.returncode is None:  # first: it must not be left behind, whatever became of life
            child.terminate()
            await child.wait()
        life.cancel()
        with contextlib.suppress(asyncio.CancelledError, TokensvcError):
            await life


async def _is_ready(url: str, child: asyncio.subprocess.Process) -> bool:
    """Wait until the service is ready; return False if it ended before."""

    def ask() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    async with asyncio.timeout(_PATIENCE):
        while child.returncode is None:
            if await asyncio.to_thread(ask):
                return True
            await asyncio.sleep(0.2)
    return False


if __name__ == "__main__":
    sys.exit(main())
