"""What several tests of the issuer start from."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.things import open_exchange

from tokensvc.core.exchange import ExchangeRequest
from tokensvc.issuer.mirror.mirror import Mirror

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tokensvc.issuer.admin.api_keys import NewKey
    from tokensvc.issuer.exchange.issuing import Exchange, IssuedToken
    from tokensvc.issuer.start import Started
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database


@pytest.fixture
def new_mirror(
    database: Database, settings: Settings, started: Started
) -> Callable[[], Awaitable[Mirror]]:
    """Makes mirrors, as several service processes have them. Each has looked once."""

    async def make() -> Mirror:
        mirror = Mirror(database, settings, started.master_key)
        await mirror.refresh_once()
        return mirror

    return make


@pytest.fixture
def own_folder(session_folder: Path) -> Path:
    """A folder of this test alone that Postgres may enter."""
    folder = Path(tempfile.mkdtemp(dir=session_folder))
    folder.chmod(0o755)
    return folder


@pytest.fixture
def lock_seconds() -> float:
    """For how long the ledger waits for a row; a test may say PATIENT, as the machine is busy."""
    return 0.5


@pytest.fixture
async def exchange(
    database: Database, settings: Settings, started: Started, lock_seconds: float
) -> AsyncIterator[Exchange]:
    """The exchange in this process, without HTTP."""
    opened = await open_exchange(database, settings, started, lock_seconds=lock_seconds)
    yield opened
    await opened.ledger.close()


@pytest.fixture
def issue(exchange: Exchange) -> Callable[..., Awaitable[IssuedToken]]:
    """Exchanges a key for a token."""

    async def act(key: NewKey, address: str | None = None, **wanted: Any) -> IssuedToken:
        request = ExchangeRequest(credential=key.key, **wanted)
        return await exchange.issue(request, "test", address)

    return act
