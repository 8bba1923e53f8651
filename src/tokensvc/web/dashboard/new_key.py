"""Making a key: the form, and the one page that shows the key."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.errors import InvalidInputError
from tokensvc.operations.operation import KEY_OWNERS
from tokensvc.web.app_keys import SERVICE
from tokensvc.web.dashboard.page import Page, Redirect, View
from tokensvc.web.network import find_address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokensvc.web.dashboard.page import Visit

_DAY: Final = 86_400
_PRESETS: Final = (7, 30, 90, 180, 365)
_OWN_DATE: Final = "date"
_MOST_ACCOUNTS: Final = 200
_MOST_NAMES: Final = 500
_SERVICE: Final = "tokensvc"


async def show_new_key(visit: Visit) -> View | Redirect:
    """Show the form, empty or with what another key has ("new key like this")."""
    like = visit.query.get("like")
    settings = visit.request.app[SERVICE].settings
    return View(
        {
            **await load_choices(visit),
            "like": None if like is None else await visit.run("keys.show", id=like),
            "presets": [(str(days * _DAY), f"{days} d", days) for days in _PRESETS],
            "longest_life": None if visit.principal.is_admin else settings.max_key_life,
            "idempotency_key": secrets.token_urlsafe(24),
            "address": find_address(visit.request, settings.trusted_proxy_hops),
        }
    )


async def create_key(visit: Visit) -> View | Redirect:
    """Make the key, and show it. There is no redirect: the answer is the only place it stands."""
    made = await visit.submit(
        "keys.create",
        idempotency_key=visit.typed.value("idempotency_key") or None,
        **read_life(visit),
    )
    return show_once(visit, made)


def show_once(visit: Visit, made: Any) -> View:  # noqa: ANN401 - a model of the operations
    """Return the page that shows a new key."""
    settings = visit.request.app[SERVICE].settings
    audience = next(iter(made.audiences), settings.default_audience)
    named = audience != settings.default_audience
    return View(
        {"key": made, "audience": audience if named else None, "token_life": settings.token_ttl},
        template="keys/shown_once.html",
    )


def read_life(visit: Visit) -> dict[str, Any]:
    """Return `expires_in` if a date was typed; a preset is seconds already.

    Raises InvalidInputError.
    """
    if visit.typed.value("expires_in") != _OWN_DATE:
        return {}
    try:
        end = datetime.strptime(visit.typed.value("expires_on"), "%Y-%m-%d").replace(
            tzinfo=visit.now.tzinfo
        ) + timedelta(days=1)
    except ValueError:
        raise InvalidInputError("it must be a date", pointer="/expires_in") from None
    seconds = int((end - visit.now).total_seconds())
    if seconds < 1:
        raise InvalidInputError("the date must lie ahead", pointer="/expires_in")
    return {"expires_in": seconds}


async def load_choices(visit: Visit) -> dict[str, Any]:
    """Return what a form for a key offers: accounts, capabilities by group, audiences, tiers."""
    accounts = await visit.run("accounts.list", limit=_MOST_ACCOUNTS, sort="name")
    capabilities = await visit.run("capabilities.list", limit=_MOST_NAMES)
    audiences = await visit.run("audiences.list", limit=_MOST_NAMES)
    tiers = (await visit.run("tiers.list")).items if visit.may("tiers.list") else []
    return {
        "accounts": [] if accounts.next_cursor else accounts.items,
        "groups": group_capabilities(capabilities.items),
        "audiences": audiences.items,
        "tiers": tiers,
    }


def group_capabilities(capabilities: Iterable[Any]) -> list[tuple[str, list[Any]]]:
    """Return capabilities by the word before the colon; those of the service itself come last."""
    groups: dict[str, list[Any]] = {}
    for capability in capabilities:
        groups.setdefault(capability.name.partition(":")[0], []).append(capability)
    return sorted(groups.items(), key=lambda group: (group[0] == _SERVICE, group[0]))


PAGES: Final = (
    Page(path="/keys/new", act=show_new_key, template="keys/new.html", needs=KEY_OWNERS),
    Page(
        path="/keys/new",
        method="POST",
        act=create_key,
        again=show_new_key,
        template="keys/new.html",
        needs=KEY_OWNERS,
        has_secret=True,
    ),
)
