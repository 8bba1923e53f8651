"""Asking a database one thing."""

from __future__ import annotations

import asyncio
from typing import Any

from tokensvc.store.primary import connect


def query(url: str, statement: str) -> Any:  # noqa: ANN401 - one value of any kind
    """Return one value."""
    return asyncio.run(_query(url, statement))


async def _query(url: str, statement: str) -> Any:  # noqa: ANN401
    connection = await connect(url)
    try:
        return await connection.fetchval(statement, timeout=600)
    finally:
        await connection.close()
