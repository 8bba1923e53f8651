"""Making a key: the form, and the one page that shows the key."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.audience import DASHBOARD_AUDIENCE, OWN_AUDIENCE
from tokensvc.core.capability import is_for_service
from tokensvc.core.errors import InvalidInputError
from tokensvc.operations.operation import KEY_OWNERS
from tokensvc.web.app_keys import SERVICE
from tokensvc.web.client_address import find_address
from tokensvc.web.dashboard.key_form import (
    PRESETS,
    STARTS,
    Beginning,
    copy_key,
    find_longest_life,
    find_start,
)
from tokensvc.web.dashboard.lists import build_link
from tokensvc.web.dashboard.moments import parse_day, write_span
from tokensvc.web.dashboard.naming import offer_accounts
from tokensvc.web.dashboard.page import Redirect, View, build_form

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tokensvc.web.dashboard.key_form import Start
    from tokensvc.web.dashboard.page import Visit

_DAY: Final = 86_400
_OWN_DATE: Final = "date"
_SECONDS: Final = re.compile(r"[0-9]{1,8}", re.ASCII)
_MOST_NAMES: Final = 500
_OWN_GROUP: Final = "tokensvc"  # of the capabilities of the service itself


async def show_new_key(visit: Visit) -> View | Redirect:
    """Show the form: empty, with what another key has, or with what a named start ticks."""
    settings = visit.request.app[SERVICE].settings
    choices = await load_choices(visit)
    offered = [capability.name for _, group in choices["groups"] for capability in group]
    places = [audience.name for audience in choices["audiences"]]
    start = find_start(visit.query.get("template"))
    begun, longest = await _begin(visit, offered, start), None
    if (own := choices["own"]) is not None:
        longest = _find_longest_life(visit, own)
        begun = begun.narrow(own, places, longest)
    return View(
        {
            **choices,
            "begun": begun,
            **await offer_accounts(visit, begun.account),
            "starts": [
                (each.label, build_link("/keys/new", _kept(visit), template=each.id), each is start)
                for each in STARTS
                if each.fits(offered)
            ],
            "start": start,
            "nothing": build_link("/keys/new", _kept(visit)),
            **describe_life(visit, longest),
            "idempotency_key": secrets.token_urlsafe(24),
            "address": find_address(visit.request, settings.trusted_proxy_hops),
        }
    )


async def _begin(visit: Visit, offered: list[str], start: Start | None) -> Beginning:
    """Return what the form begins with."""
    like = visit.query.get("like")
    if like is not None:
        return copy_key(await visit.run("keys.show", id=like))
    return Beginning() if start is None else start.begin(offered)


def _find_longest_life(visit: Visit, own: Any) -> int | None:  # noqa: ANN401 - a model
    """Return how many seconds a key may live that the holder of the key `own` makes."""
    left = None if own.expires_at is None else (own.expires_at - visit.now).total_seconds()
    return find_longest_life(left, visit.request.app[SERVICE].settings.max_key_life)


def _kept(visit: Visit) -> dict[str, str]:
    """Return what stays in the address when another start is chosen."""
    return {name: visit.query[name] for name in ("account",) if name in visit.query}


async def create_key(visit: Visit) -> View | Redirect:
    """Make the key, and show it. There is no redirect: the key stands in this answer alone."""
    made = await visit.submit(
        "keys.create",
        **read_life(visit),
    )
    return show_once(visit, made)


def show_once(visit: Visit, made: Any) -> View:  # noqa: ANN401 - a model of the operations
    """Return the page that shows a new key."""
    settings = visit.request.app[SERVICE].settings
    audience, scope = next(iter(made.audiences), settings.default_audience), None
    if all(map(is_for_service, made.capabilities)):  # a token has them only if they are named
        scope = " ".join(made.capabilities)
        audience = audience if made.audiences else OWN_AUDIENCE
    return View(
        {
            "key": made,
            "audience": None if audience == settings.default_audience else audience,
            "scope": scope,
            "token_life": settings.token_ttl,
        },
        template="keys/shown_once.html",
    )


def describe_life(visit: Visit, longest: int | None = None) -> dict[str, Any]:
    """Return what a form offers as the end of a key, and what the policy allows the caller.

    `longest`: of the lives that the caller may give, in seconds. It stands before the presets if
    all of them are longer.
    """
    settings = visit.request.app[SERVICE].settings
    lives = [(days * _DAY, f"{days} d") for days in PRESETS]
    shortest = lives[0][0]
    if longest is not None and longest < shortest:
        # A form that is shown again keeps what was typed, though less of the own life is left now.
        typed = visit.typed.value("expires_in")
        kept = int(typed) if _SECONDS.fullmatch(typed) else shortest
        seconds = kept if kept < shortest else longest
        lives.insert(0, (seconds, f"Longest: {write_span(seconds)}"))
    return {
        "presets": [(str(seconds), label, seconds / _DAY) for seconds, label in lives],
        "longest_life": None if visit.principal.is_admin else settings.max_key_life,
    }


def read_life(visit: Visit) -> dict[str, Any]:
    """Return `expires_in` if a date was typed; a preset is seconds already.

    Raises InvalidInputError.
    """
    if visit.typed.value("expires_in") != _OWN_DATE:
        return {}
    # The key is good for the whole of that day.
    _, end = parse_day(visit.typed.value("expires_on"), "expires_in")
    seconds = int((end - visit.now).total_seconds())
    if seconds < 1:
        raise InvalidInputError("the date must lie ahead", pointer="/expires_in")
    return {"expires_in": seconds}


async def load_choices(visit: Visit, key: Any = None) -> dict[str, Any]:  # noqa: ANN401 - a model
    """Return what a form for a key offers: capabilities by group, audiences, tiers.

    `key`: the one that is changed, None for a new one; what it has is offered in any case. `own` is
    the key of a caller who can give only what that key has, None for admins. It decides only what
    is offered; the operation judges what is sent.
    """
    own = None
    if not visit.principal.is_admin:
        own = await visit.run("keys.show", id=visit.principal.key_id)
    capabilities = await visit.run("capabilities.list", limit=_MOST_NAMES)
    audiences = await visit.run("audiences.list", limit=_MOST_NAMES)
    tiers = (await visit.run("tiers.list")).items if visit.may("tiers.list") else []
    names = _Offered(own and own.capabilities, key and key.capabilities)
    # The audience of the dashboard is never offered: the dashboard itself gets tokens for it, when
    # people sign in, and programs have nothing to call there.
    places = _Offered(own and (own.audiences or None), key and key.audiences, {DASHBOARD_AUDIENCE})
    return {
        "own": own,
        "groups": group_capabilities(each for each in capabilities.items if each.name in names),
        "audiences": [each for each in audiences.items if each.name in places],
        "tiers": tiers,
    }


class _Offered:
    """Names that a form offers: those that may be given, except `never`, and those that are held.

    `given`: None for all.
    """

    def __init__(
        self,
        given: Collection[str] | None,
        held: Collection[str] | None,
        never: Collection[str] = (),
    ) -> None:
        self._given, self._held, self._never = given, held or (), never

    def __contains__(self, name: object) -> bool:
        is_given = self._given is None or name in self._given
        return name in self._held or (is_given and name not in self._never)


def group_capabilities(capabilities: Iterable[Any]) -> list[tuple[str, list[Any]]]:
    """Return capabilities by the word before the colon; those of the service itself come last."""
    groups: dict[str, list[Any]] = {}
    for capability in capabilities:
        groups.setdefault(capability.name.partition(":")[0], []).append(capability)
    return sorted(groups.items(), key=lambda group: (group[0] == _OWN_GROUP, group[0]))


PAGES: Final = (
    *build_form(
        "/keys/new",
        show=show_new_key,
        act=create_key,
        template="keys/new.html",
        needs=KEY_OWNERS,
        has_secret=True,
    ),
)
