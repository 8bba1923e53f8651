"""The names of keys that events tell of by their ids."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.errors.general import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokensvc.web.dashboard.page import Visit

_KEY: Final = "key_"
_AT_ONCE: Final = 4  # of the connections of the service


async def find_key_names(visit: Visit, events: Iterable[Any]) -> dict[str, str]:
    """Return the names of the keys that did something, or to which it was done, by their ids.

    Deleted keys are left out.
    """
    ids = {name for event in events for name in (event.actor, event.subject)}
    turns = asyncio.Semaphore(_AT_ONCE)

    async def find(key_id: str) -> tuple[str, str | None]:
        async with turns:
            try:
                return key_id, (await visit.run("keys.show", id=key_id)).name
            except NotFoundError:
                return key_id, None

    found = await asyncio.gather(*(find(name) for name in ids if name.startswith(_KEY)))
    return {key_id: name for key_id, name in found if name is not None}
