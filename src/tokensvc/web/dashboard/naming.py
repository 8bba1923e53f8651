"""The names of keys and accounts that are told of by their ids."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors.general import NotFoundError
from tokensvc.operations.model import MOST_IDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokensvc.web.dashboard.page import Visit

_KEY: Final = "key_"
_ACCOUNT: Final = "acct_"
_AT_ONCE: Final = 4  # of the connections of the service


async def find_names(visit: Visit, ids: Iterable[str | None]) -> dict[str, str]:
    """Return the names of the keys and accounts among some ids, which may be anything.

    What is deleted is left out.
    """
    asked = sorted({each for each in ids if each is not None})
    keys, accounts = await asyncio.gather(
        _find_keys(visit, [each for each in asked if each.startswith(_KEY)][:MOST_IDS]),
        _find_accounts(visit, [each for each in asked if each.startswith(_ACCOUNT)]),
    )
    return keys | accounts


async def _find_keys(visit: Visit, ids: list[str]) -> dict[str, str]:
    if not ids:
        return {}
    found = await visit.run("keys.list", ids=",".join(ids), limit=len(ids))
    return {key.id: key.name for key in found.items}


async def _find_accounts(visit: Visit, ids: list[str]) -> dict[str, str]:
    """Ask for each: a page names few accounts."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def find(account: str) -> tuple[str, str | None]:
        async with turns:
            try:
                return account, (await visit.run("accounts.show", id=account)).name
            except NotFoundError:
                return account, None

    found = await asyncio.gather(*map(find, ids))
    return {account: name for account, name in found if name is not None}
