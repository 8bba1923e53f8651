"""The token decoder: what a token says, and which checks of a verifier it passes.

A token is only ever in the body of a request. It stands in no address and no log, and the page that
shows what it says does not repeat it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.errors import InvalidInputError
from tokensvc.core.identifier import parse_jti
from tokensvc.operations.operation import ADMINS, READERS
from tokensvc.web.dashboard.page import Page, Redirect, View, build_form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokensvc.web.dashboard.page import Visit

_ORDER: Final = ("failed", "skipped", "passed")
_SCHEME: Final = "bearer"
_MOMENTS: Final = ("iat", "exp", "nbf", "auth_time")
_LEEWAY_SECONDS: Final = 60  # how far a verifier lets clocks differ, at most
_LATEST: Final = 253_402_300_799  # the end of the year 9999


async def show_decoder(visit: Visit) -> View | Redirect:
    """Show the form."""
    return View({"status": None, "revoked": _find_jti(visit.query.get("revoked", ""))})


async def decode(visit: Visit) -> View | Redirect:
    """Show what a token says, and each check of it, those that failed first."""
    words = visit.typed.value("token").split()  # it may have been broken into lines
    if words and words[0].lower() == _SCHEME:
        del words[0]
    status = await visit.submit("tokens.inspect", token="".join(words))
    checks = sorted(status.checks, key=lambda check: _ORDER.index(check.state))
    jti, expires = status.payload.get("jti"), status.payload.get("exp")
    left = int(expires - visit.now.timestamp()) if isinstance(expires, int) else 0
    return View(
        {
            "status": status,
            "revoked": None,
            "checks": checks,
            "first_fault": next((check for check in checks if check.state == "failed"), None),
            "moments": _read_moments(status.payload),
            "jti": jti if status.state == "live" else None,
            "exp_in": max(1, left) + _LEEWAY_SECONDS,
        }
    )


async def revoke_jti(visit: Visit) -> View | Redirect:
    """Revoke the token with this id."""
    made = await visit.submit("revocations.create")
    return Redirect(f"/decoder?revoked={made.value}")


def _find_jti(text: str) -> str | None:
    try:
        return parse_jti(text)
    except InvalidInputError:
        return None


def _read_moments(payload: Mapping[str, Any]) -> dict[str, datetime]:
    """Return the claims that are moments, of those that a calendar has."""
    found: dict[str, datetime] = {}
    for name in _MOMENTS:
        value = payload.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LATEST:
            found[name] = datetime.fromtimestamp(value, UTC)
    return found


PAGES: Final = (
    *build_form(
        "/decoder",
        show=show_decoder,
        act=decode,
        template="decoder/page.html",
        needs=READERS,
        has_secret=True,
    ),
    Page(
        path="/decoder/revoke",
        method="POST",
        act=revoke_jti,
        again=show_decoder,
        template="decoder/page.html",
        needs=ADMINS,
    ),
)
