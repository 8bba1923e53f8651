"""What the tests of the HTTP service start from."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from tests.integration.things import make_key

if TYPE_CHECKING:
    from tokensvc.issuer.admin.api_keys import NewKey
    from tokensvc.issuer.start import Started
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
