"""Signing in and out, and the theme."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from tokensvc.core.errors import InsufficientAuthenticationError
from tokensvc.web.app_keys import SERVICE
from tokensvc.web.client_address import find_client_place
from tokensvc.web.dashboard.cookies import THEMES, drop_token, find_token, keep_theme, keep_token
from tokensvc.web.dashboard.guard import LOCK
from tokensvc.web.dashboard.page import Page, Redirect, View

if TYPE_CHECKING:
    from tokensvc.core.claims import Claims
    from tokensvc.web.dashboard.page import Visit

PROOF: Final = "api_key"
_NEXT: Final = re.compile(r"/[A-Za-z0-9_./?&=%:+~-]{0,500}", re.ASCII)
_SAME_SITE: Final = {"same-origin", "none"}


async def show_key(visit: Visit, text: str) -> Claims:
    """Sign somebody in by the API key that they show; the answer sets the cookie.

    Raises InvalidClientError, RateLimitedError, UnavailableError.
    """
    service = visit.request.app[SERVICE]
    place = find_client_place(visit.request, service.settings.trusted_proxy_hops)
    issued = await service.sign_in.begin(text.strip(), place, visit.principal.actor)
    visit.after.append(keep_token(issued.text, issued.claims))
    return issued.claims


def ask_for_key(visit: Visit) -> View | Redirect:
    """Return what asks for the key, because nobody is signed in or the key was shown long ago.

    What was typed into a form is kept, and sent again together with the key.
    """
    if visit.request.method != "POST":
        # The answer goes into the middle of a page, so it is a sentence and not a whole page.
        if visit.wants_fragment:
            return View({}, status=HTTPStatus.UNAUTHORIZED, template="signed_out.html")
        query = visit.request.query_string
        wanted = visit.place + (f"?{query}" if query else "")
        return Redirect("/sign-in?" + urlencode({"next": wanted}))
    # The key is asked for anew, and the lock belonged to the session that is over.
    kept = [(name, text) for name, text in visit.typed.form.items() if name not in {PROOF, LOCK}]
    is_known = isinstance(visit.typed.error, InsufficientAuthenticationError)
    values = {"action": visit.place, "kept": kept, "is_known": is_known, "next": None}
    return View(values, status=HTTPStatus.UNAUTHORIZED, template="sign_in.html")


async def show_sign_in(visit: Visit) -> View | Redirect:
    """Ask for a key."""
    site = visit.request.headers.get("Sec-Fetch-Site", "")
    wanted = visit.typed.value("next") or visit.query.get("next", "/")
    # The cookie is `SameSite=Strict`: it is not sent when somebody follows a link on another site,
    # who may be signed in nevertheless.
    values = {
        "action": "/sign-in",
        "kept": [],
        "is_known": False,
        "next": _check_next(wanted),
        "may_be_signed_in": visit.request.method == "GET" and site not in _SAME_SITE,
    }
    return View(values)


async def sign_in(visit: Visit) -> View | Redirect:
    """Sign somebody in, and see next whether the browser keeps the cookie."""
    await show_key(visit, visit.typed.value(PROOF))
    wanted = _check_next(visit.typed.value("next"))
    return Redirect("/sign-in/done?" + urlencode({"next": wanted}))


async def show_signed_in(visit: Visit) -> View | Redirect:
    """Go on, or say why the browser refused the cookie: it does so without https."""
    if find_token(visit.request) is not None:
        return Redirect(_check_next(visit.query.get("next", "/")))
    return View({"next": _check_next(visit.query.get("next", "/"))})


async def sign_out(visit: Visit) -> View | Redirect:
    """Revoke the token, and let the browser forget it."""
    if visit.claims is not None:
        await visit.request.app[SERVICE].sign_in.end(visit.claims, visit.principal.actor)
    visit.after.append(drop_token)
    return Redirect("/sign-in")


async def set_theme(visit: Visit) -> View | Redirect:
    """Remember a theme."""
    theme = visit.typed.value("theme")
    visit.after.append(keep_theme(theme if theme in THEMES else THEMES[0]))
    return Redirect(_check_next(visit.typed.value("next")))


def _check_next(path: str) -> str:
    """Return a path below the dashboard, "/" for what is none."""
    # A path that begins with two slashes would lead the browser to another site.
    return path if _NEXT.fullmatch(path) and "//" not in path else "/"


PAGES: Final = (
    Page(path="/sign-in", act=show_sign_in, template="sign_in.html", is_open=True),
    Page(
        path="/sign-in",
        method="POST",
        act=sign_in,
        again=show_sign_in,
        template="sign_in.html",
        is_open=True,
    ),
    Page(path="/sign-in/done", act=show_signed_in, template="no_cookie.html", is_open=True),
    Page(path="/sign-out", method="POST", act=sign_out),
    Page(path="/theme", method="POST", act=set_theme),
)
