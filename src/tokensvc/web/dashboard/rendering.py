"""Templates become HTML. What is put into them is always escaped."""

from __future__ import annotations

import functools
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tokensvc.issuer.operations.call import find_version
from tokensvc.web.app_keys import SERVICE
from tokensvc.web.dashboard import moments, words
from tokensvc.web.dashboard.cookies import THEMES, find_theme
from tokensvc.web.dashboard.guard import LOCK
from tokensvc.web.dashboard.navigation import find_current, list_entries
from tokensvc.web.dashboard.page import VERSION
from tokensvc.web.dashboard.stale import list_differences
from tokensvc.web.dashboard.static_files import build_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tokensvc.operations.model import Model
    from tokensvc.web.dashboard.page import Page, Visit

_LESS_THAN: Final = "\\u003c"


@functools.cache
def load_environment() -> Environment:
    """Return the templates. The macros of `parts.html` are `ui` in each of them."""
    environment = Environment(
        loader=PackageLoader("tokensvc.web.dashboard"),
        autoescape=True,
        # A name that nobody has given is a fault, and no empty place in a page.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "span": moments.write_span,
        "moment": moments.write_moment,
        "day": moments.write_day,
        "clock": moments.write_clock,
        "iso": moments.write_iso,
        "number": moments.write_number,
        "in_days": moments.find_day,
        "data": write_data,
        "reason": words.write_reason,
        "meaning": words.explain_reason,
        "act": words.write_act,
        "ending": words.write_ending,
        "detail": words.write_detail,
        "pair": lambda word: (word, word),
    }
    environment.globals["load_icon"] = load_icon
    environment.globals["ui"] = environment.get_template("parts.html").module
    return environment


@functools.cache
def load_icon(name: str) -> Markup:
    """Return an icon of lucide, which says nothing to a screen reader: a word stands beside it."""
    drawn = (files("tokensvc.web.dashboard") / "templates" / "icons" / f"{name}.svg").read_text()
    return Markup(  # noqa: S704 - it is a file of ours
        '<svg class="icon" viewBox="0 0 24 24" stroke-linecap="round" stroke-linejoin="round" '
        f'aria-hidden="true">{drawn.strip()}</svg>'
    )


def write_data(value: object) -> Markup:
    """Return JSON that can stand in a script element: nothing in it ends the element."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", _LESS_THAN))  # noqa: S704


def write_version(thing: Model) -> Markup:
    """Return the field of a form that tells which version of a thing it shows."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(VERSION, find_version(thing))


def render(visit: Visit, template: str, values: Mapping[str, Any], pages: Iterable[Page]) -> str:
    """Return the HTML of a page or of a part of one."""
    return (
        load_environment().get_template(template).render({**_build_context(visit, pages), **values})
    )


def _build_context(visit: Visit, pages: Iterable[Page]) -> dict[str, Any]:
    """Return what every template may use."""
    settings = visit.request.app[SERVICE].settings

    def lock(path: str) -> Markup:
        if visit.claims is None:
            return Markup("")
        token = visit.request.app[SERVICE].sign_in.build_form_token(visit.claims, path)
        return Markup('<input type="hidden" name="{}" value="{}">').format(LOCK, token)

    return {
        "asset": lambda name: visit.base + build_address(name),
        "at": lambda path: visit.base + path,
        "lock": lock,
        "version": write_version,
        "differences": lambda thing: list_differences(visit.typed.form, thing),
        "may": visit.may,
        "me": visit.principal,
        "claims": visit.claims,
        "now": visit.now,
        "here": visit.place,
        "query": visit.query,
        "typed": visit.typed,
        "theme": find_theme(visit.request),
        "themes": THEMES,
        "issuer": settings.issuer_url,
        "host": settings.issuer_url.partition("://")[2],
        "sections": list_entries(pages, visit.principal),
        "numbers": visit.counts,
        "own_name": visit.own_name,
        "current": find_current(visit.place),
        "minutes_left": _find_minutes_left(visit),
    }


def _find_minutes_left(visit: Visit) -> int:
    if visit.claims is None:
        return 0
    return max(0, int(visit.claims.exp - visit.now.timestamp())) // 60
