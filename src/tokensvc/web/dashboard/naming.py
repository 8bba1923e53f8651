"""The names of what pages know by its id: keys, accounts, receivers of notices, signing keys."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tokensvc.core.errors.general import NotFoundError
from tokensvc.core.identifier import (
    ACCOUNT_ID_PATTERN,
    ENDPOINT_ID_PATTERN,
    KEY_ID_PATTERN,
    KID_PATTERN,
)
from tokensvc.core.notices.destination import find_mail_address
from tokensvc.operations.model import MOST_IDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tokensvc.web.dashboard.page import Visit

    NameOf = Callable[[Any], str]

_KEY: Final = re.compile(KEY_ID_PATTERN, re.ASCII)
_KID: Final = re.compile(KID_PATTERN, re.ASCII)
_MOST_ACCOUNTS: Final = 200  # that a form or a filter offers
_AT_ONCE: Final = 4  # of the connections of the service


async def find_names(visit: Visit, ids: Iterable[str | None]) -> dict[str, str]:
    """Return the names of what some ids are of; the ids may be anything.

    A signing key is called by the begin and the end of its id. What is deleted is left out.
    """
    asked = sorted({each for each in ids if each is not None})
    keys, signing_keys, others = await asyncio.gather(
        _find_keys(visit, [each for each in asked if _KEY.fullmatch(each)][:MOST_IDS]),
        _find_signing_keys(visit, {each for each in asked if _KID.fullmatch(each)}),
        _find_others(visit, asked),
    )
    return keys | signing_keys | others


async def load_accounts(visit: Visit, shown: Iterable[str | None] = ()) -> dict[str, str]:
    """Return the names of the accounts that a form or a filter offers, by their ids.

    `shown`: accounts that the page names in any case; there may be more than it offers.
    """
    return (await _load_accounts(visit, shown))[0]


async def offer_accounts(visit: Visit, begun: str = "") -> dict[str, Any]:
    """Return the accounts that a form offers, and which of them is chosen in it.

    That is the one that was typed, that the form begins with, or that the address names. The form
    offers it even if there are too many accounts to offer all.
    """
    chosen = visit.typed.value("account", begun or visit.query.get("account"))
    accounts, has_all = await _load_accounts(visit, [chosen])
    return {"accounts": accounts, "chosen_account": chosen, "has_all_accounts": has_all}


async def _load_accounts(visit: Visit, shown: Iterable[str | None]) -> tuple[dict[str, str], bool]:
    """Return names as `load_accounts` does, and whether they are those of all accounts."""
    found = await visit.run("accounts.list", limit=_MOST_ACCOUNTS, sort="name")
    offered = {account.id: account.name for account in found.items}
    missing = {each for each in shown if each is not None} - offered.keys()
    others = await _find_others(visit, sorted(missing))
    return offered | others, found.next_cursor is None


async def _find_keys(visit: Visit, ids: list[str]) -> dict[str, str]:
    if not ids:
        return {}
    found = await visit.run("keys.list", ids=",".join(ids), limit=len(ids))
    return {key.id: key.name for key in found.items}


async def _find_signing_keys(visit: Visit, kids: set[str]) -> dict[str, str]:
    if not kids or not visit.may("signing-keys.list"):
        return {}
    found = {key.kid for key in (await visit.run_whole("signing-keys.list")).items}
    return {kid: f"{kid[:4]}…{kid[-4:]}" for kid in kids & found}


async def _find_others(visit: Visit, ids: list[str]) -> dict[str, str]:
    """Ask for each: a page names few of them."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def find(thing: str, operation: str, name_of: NameOf) -> tuple[str, str | None]:
        async with turns:
            try:
                return thing, name_of(await visit.run(operation, id=thing))
            except NotFoundError:
                return thing, None

    asking = [
        find(thing, *how)
        for thing in ids
        for pattern, how in _SHOWN_BY.items()
        if re.fullmatch(pattern, thing, re.ASCII)
    ]
    return {thing: name for thing, name in await asyncio.gather(*asking) if name is not None}


def _name_receiver(endpoint: Any) -> str:  # noqa: ANN401 - a model of the operations
    """Return the host or the mail address. What stands behind the host may be a secret."""
    return find_mail_address(endpoint.url) or urlsplit(endpoint.url).netloc.rpartition("@")[2]


_SHOWN_BY: Final[Mapping[str, tuple[str, NameOf]]] = {
    ACCOUNT_ID_PATTERN: ("accounts.show", lambda account: str(account.name)),
    ENDPOINT_ID_PATTERN: ("notice-endpoints.show", _name_receiver),
}
