"""The two cookies: the token of the sign-in, and the theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from tokensvc.core.claims import Claims

# Because of this prefix, a browser takes the cookie from this very host alone, over https: no other
# host of the domain can put one in its place.
_TOKEN: Final = "__Host-tokensvc"  # noqa: S105 - its name
_THEME: Final = "tokensvc-theme"
THEMES: Final = ("system", "light", "dark")
_YEAR: Final = 365 * 86_400


def find_token(request: web.Request) -> str | None:
    """Return the token in the cookie, None if there is none."""
    return request.cookies.get(_TOKEN) or None


def keep_token(text: str, claims: Claims) -> Callable[[web.Response], None]:
    """Return what gives the browser the token of a sign-in, for as long as it lives."""

    def keep(response: web.Response) -> None:
        response.set_cookie(
            _TOKEN,
            text,
            max_age=claims.exp - claims.iat,
            path="/",
            secure=True,
            httponly=True,
            samesite="Strict",
        )

    return keep


def drop_token(response: web.Response) -> None:
    """Let the browser forget the token."""
    response.del_cookie(_TOKEN, path="/", secure=True, httponly=True, samesite="Strict")


def find_theme(request: web.Request) -> str:
    """Return the theme that was chosen; "system" leaves it to the browser."""
    theme = request.cookies.get(_THEME, "")
    return theme if theme in THEMES else THEMES[0]


def keep_theme(theme: str) -> Callable[[web.Response], None]:
    """Return what lets the browser remember a theme."""

    def keep(response: web.Response) -> None:
        response.set_cookie(
            _THEME, theme, max_age=_YEAR, path="/", httponly=True, samesite="Strict"
        )

    return keep
