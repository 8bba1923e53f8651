"""How much of the pool the callers of revocation and introspection may use at once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# For what must go on under any load: the mirror, its listener, the background tasks.
_RESERVED_CONNECTIONS: Final = 3
_LONGEST_WAIT_SECONDS: Final = 1.0


class ConnectionShare:
    """Lets callers use all connections of the pool but a few: a semaphore with a deadline."""

    def __init__(self, pool_size: int) -> None:
        self._free = asyncio.Semaphore(max(1, pool_size - _RESERVED_CONNECTIONS))

    @asynccontextmanager
    async def use(self) -> AsyncIterator[None]:
        """Hold a connection's place for the block. Raises UnavailableError after a short wait."""
        try:
            async with asyncio.timeout(_LONGEST_WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError as error:
            raise UnavailableError(
                "too many revocations and introspections at once; try again",
                reason="connection_share_used_up",
            ) from error
        try:
            yield
        finally:
            self._free.release()
