"""The names of keys and accounts that are told of by their ids."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors.general import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokensvc.web.dashboard.page import Visit

_SHOWN_BY: Final = {"key_": "keys.show", "acct_": "accounts.show"}
_AT_ONCE: Final = 4  # of the connections of the service


async def find_names(visit: Visit, ids: Iterable[str | None]) -> dict[str, str]:
    """Return the names of the keys and accounts among some ids, which may be anything.

    What is deleted is left out.
    """
    turns = asyncio.Semaphore(_AT_ONCE)

    async def find(thing: str, operation: str) -> tuple[str, str | None]:
        async with turns:
            try:
                return thing, (await visit.run(operation, id=thing)).name
            except NotFoundError:
                return thing, None

    found = await asyncio.gather(
        *(
            find(thing, operation)
            for thing in {each for each in ids if each is not None}
            for prefix, operation in _SHOWN_BY.items()
            if thing.startswith(prefix)
        )
    )
    return {thing: name for thing, name in found if name is not None}
