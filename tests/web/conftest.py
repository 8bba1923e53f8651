"""What the tests of the HTTP service start from."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.things import make_key
from tests.web.browsing import open_browser
from tests.web.operating import make_caller

from tokensvc.web.runner import ServiceRunner
from tokensvc.web.server import bind_socket
from tokensvc.web.shared_start import SharedStart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.test_utils import TestClient
    from tests.web.browsing import Browser
    from tests.web.operating import Caller

    from tokensvc.issuer.admin.api_keys import NewKey
    from tokensvc.issuer.start import Started
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database


@pytest.fixture
async def key(database: Database, started: Started) -> NewKey:
    """A key that may orders:read and orders:write."""
    del started
    return await make_key(database)


@pytest.fixture
async def fresh_minute() -> None:
    """Do not begin so late in a minute of the guards that it would end in the middle."""
    if time.monotonic() % 60 > 45:
        await asyncio.sleep(60.1 - time.monotonic() % 60)


@pytest.fixture
async def admin(client: TestClient[Any, Any], database: Database) -> Caller:
    """Whoever may do everything, by the API key itself."""
    caller, _ = await make_caller(client, database, "tokensvc:admin")
    return caller


@pytest.fixture
async def runner(
    settings: Settings, database_url: str, started: Started, logs: object
) -> AsyncIterator[ServiceRunner]:
    """A service on its port, with everything that a process of its own has."""
    del started, logs
    with SharedStart() as start:
        runner = ServiceRunner(settings, database_url, start, greet=lambda _: None)
        await runner.setup()
        listener = bind_socket(settings)
        await runner.serve(listener)
        await runner.open(lambda: None)
        yield runner
        await runner.drain(listener)


@pytest.fixture
async def browser(client: TestClient[Any, Any], database: Database) -> Browser:
    """A browser in which somebody is signed in who may do everything."""
    return await open_browser(client, await make_key(database, capabilities=("tokensvc:admin",)))


@pytest.fixture
async def account(admin: Caller) -> str:
    """The id of an account."""
    account_id: str = (await admin("POST /v1/accounts", {"name": "Orders"})).body["id"]
    return account_id
