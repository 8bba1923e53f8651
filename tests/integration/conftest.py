"""What several tests of the issuer start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.things import open_exchange

from tokensvc.core.exchange import ExchangeRequest
from tokensvc.issuer.mirror.mirror import Mirror

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tokensvc.issuer.admin.api_keys import NewKey
    from tokensvc.issuer.exchange.issuing import IssuedToken
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
async def issue(
    database: Database, settings: Settings, started: Started
) -> AsyncIterator[Callable[[NewKey], Awaitable[IssuedToken]]]:
    """Exchanges a key in this process, without HTTP."""
    exchange = await open_exchange(database, settings, started)

    async def act(key: NewKey) -> IssuedToken:
        return await exchange.issue(ExchangeRequest(credential=key.key), "test")

    yield act
    await exchange.ledger.close()
