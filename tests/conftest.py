"""Fixtures: a real Postgres for the whole run, a fresh database per test, and services."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from testbed.leaks import find_secrets
from testbed.memory import find_memory_folder
from testbed.ports import find_free_port

from tests.databases import FAST_AND_UNSAFE, Databases, Kind
from tests.factories import make_settings
from tests.services import starting
from tokensvc.logs.configuration import configure_logs
from tokensvc.logs.output import flush_logs
from tokensvc.store.embedded import EmbeddedPostgres
from tokensvc.store.pool import Database, open_database
from tokensvc.store.primary import connect
from tokensvc.web.app import build_app
from tokensvc.web.app_keys import SERVICE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    import asyncpg
    from aiohttp import web
    from testbed.processes import ServiceProcess

    from tokensvc.issuer.service import Service
    from tokensvc.issuer.start import Started
    from tokensvc.settings import Settings

pytest_plugins = ["tests.process_budget"]

# How long an example takes tells of the machine, not of the product.
hypothesis_settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [
        name
        for name in os.environ
        if name.startswith("TOKENSVC_") and name != "TOKENSVC_POSTGRES_BIN_DIR"
    ]:
        monkeypatch.delenv(variable)


@contextlib.contextmanager
def make_folder(parent: Path | None = None) -> Iterator[Path]:
    """Lend a new folder that everybody may enter. `parent`: where it lies, /tmp by default."""
    folder = Path(tempfile.mkdtemp(prefix="tokensvc-", dir=parent))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    """A short path that an unprivileged Postgres may enter, gone at the end."""
    with make_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[Path]:
    """Where the data and the log of the tests' Postgres are: in memory, if there is enough."""
    with make_folder(find_memory_folder()) as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres(postgres_folder: Path) -> Iterator[str]:
    """The URL of a real Postgres: one for the whole run, and one per process that runs tests."""
    explicit = os.environ.get("TOKENSVC_POSTGRES_BIN_DIR")
    server = EmbeddedPostgres(
        postgres_folder,
        bin_dir=Path(explicit) if explicit else None,
        options=FAST_AND_UNSAFE,
    )
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def databases(postgres: str, session_folder: Path) -> Iterator[Databases]:
    with Databases(postgres, session_folder / "keys") as made:
        yield made


@pytest.fixture
def new_database_url(databases: Databases) -> Iterator[Callable[[Kind], str]]:
    """Makes fresh databases: `new_database_url("empty")`."""
    made: list[str] = []

    def make(kind: Kind) -> str:
        made.append(databases.take(kind))
        return made[-1]

    yield make
    for url in made:
        databases.drop(url)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, new_database_url: Callable[[Kind], str]) -> str:
    """A fresh, migrated database, without more in it unless the test asks for a started one."""
    is_started = not {"started", "ready"}.isdisjoint(request.fixturenames)
    return new_database_url("started" if is_started else "migrated")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = await open_database(database_url, max_size=10)
    yield opened
    await opened.close()


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own, for looking and for meddling.

    It waits, and holds what it has locked, for as long as the test wants, however slow the machine.
    """
    opened = await connect(database_url)
    for timeout in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
        await opened.execute(f"set {timeout} = 0")
    yield opened
    await opened.close()


@pytest.fixture
async def calm(connection: asyncpg.Connection) -> None:
    """Do not begin so late in a minute that the test would end in the next one."""
    second = await connection.fetchval("select extract(second from clock_timestamp())::float8")
    if second > 45:
        await asyncio.sleep(60.1 - second)


@pytest.fixture
def new_folder() -> Iterator[Callable[[], Path]]:
    """Makes folders for clusters of Postgres; what still runs there at the end is ended."""
    made: list[Path] = []

    def make() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="tokensvc-pg-")))
        made[-1].chmod(0o755)
        return made[-1]

    yield make
    for folder in made:
        server = EmbeddedPostgres(folder)
        if server.process_id is not None:  # a test has failed half way
            os.kill(server.process_id, signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def unused_tcp_port() -> int:
    """A port that nobody else gets meanwhile, not even to connect from."""
    return find_free_port()


@pytest.fixture
def unused_tcp_port_factory() -> Callable[[], int]:
    return find_free_port


@pytest.fixture
def settings(tmp_path: Path, unused_tcp_port: int) -> Settings:
    return make_settings(
        port=unused_tcp_port,
        keys_dir=tmp_path / "keys",
        data_dir=tmp_path / "data",
        database_wait=5,
    )


@pytest.fixture
def started(database: Database, settings: Settings, databases: Databases) -> Started:
    """The database and the keys as after the first start."""
    del database  # it is a copy of one that was started
    databases.copy_master_key(settings.keys_dir)
    return databases.started


class Logs:
    """What was logged in this process, line by line."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def lines(self) -> list[dict[str, Any]]:
        flush_logs()
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def find(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


@pytest.fixture
def logs() -> Iterator[Logs]:
    """Capture all logging as it would be printed; fails the test if a secret is in it."""
    captured, root = Logs(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logs("debug", captured.stream)
    yield captured
    flush_logs()
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    assert find_secrets(captured.stream.getvalue()) == []


@pytest.fixture
async def new_client(
    database_url: str,
) -> AsyncIterator[Callable[[Settings], Awaitable[TestClient[web.Request, web.Application]]]]:
    """Serves the application in this process, on the port of the settings.

    The database must be initialised.
    """
    clients: list[TestClient[web.Request, web.Application]] = []

    async def make(settings: Settings) -> TestClient[web.Request, web.Application]:
        server = TestServer(build_app(settings, database_url), port=settings.port)
        clients.append(TestClient(server))
        await clients[-1].start_server()
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


@pytest.fixture
async def client(
    logs: Logs,
    started: Started,
    settings: Settings,
    new_client: Callable[[Settings], Awaitable[TestClient[Any, Any]]],
) -> TestClient[Any, Any]:
    """A client of a service that runs in this process."""
    del logs, started
    return await new_client(settings)


@pytest.fixture
def service(client: TestClient[Any, web.Application]) -> Service:
    """The service behind `client`."""
    assert client.app is not None
    return client.app[SERVICE]


@pytest.fixture
def new_process(session_folder: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Starts `tokensvc serve` as processes of their own; they are stopped at the end."""
    with starting(session_folder) as start:
        yield start


@pytest.fixture(scope="module")
def new_shared_process(session_folder: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Starts services that all tests of a module share; they are stopped at its end."""
    with starting(session_folder) as start:
        yield start
