"""Which requests may change something: those that our own pages send.

There are three locks. The cookie is `SameSite=Strict`, so no other site's request has it. The
browser says where a request comes from. And each form holds a text that belongs to the sign-in.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import ForbiddenError
from tokensvc.core.url import find_origin
from tokensvc.web.app_keys import SERVICE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from tokensvc.core.claims import Claims
    from tokensvc.settings import Settings

LOCK: Final = "form_token"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_FEATURES: Final = (
    "accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "fullscreen",
    "geolocation", "gyroscope", "magnetometer", "microphone", "midi", "payment",
    "picture-in-picture", "publickey-credentials-get", "screen-wake-lock", "usb",
    "xr-spatial-tracking",
)  # fmt: skip
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{name}=()" for name in _FEATURES),
}
_ONLY_HTTPS: Final = {"Strict-Transport-Security": "max-age=31536000"}


def build_headers(settings: Settings) -> dict[str, str]:
    """Return the headers that every answer of the dashboard has."""
    is_https = settings.issuer_url.startswith("https:")
    return {**HEADERS, **(_ONLY_HTTPS if is_https else {})}


def check_same_origin(request: web.Request) -> None:
    """Raise ForbiddenError unless a page of ours has sent the request.

    Browsers say so where they trust the connection. Elsewhere the Origin must be one of the
    settings, that of the issuer or of the dashboard: the Host header proves nothing, whoever sends
    a request chooses it.
    """
    site = request.headers.getall("Sec-Fetch-Site", [])
    if site:
        is_ours = site == ["same-origin"]
    else:
        settings = request.app[SERVICE].settings
        ours = [find_origin(settings.issuer_url), settings.dashboard_origin]
        origin = request.headers.getall("Origin", [])
        is_ours = len(origin) == 1 and origin[0] != "" and origin[0] in ours
    if not is_ours:
        raise ForbiddenError(
            "this request did not come from a page of this dashboard, so nothing was changed",
            reason="cross_site",
        )


def check_lock(request: web.Request, claims: Claims, path: str, shown: str) -> None:
    """Raise ForbiddenError unless the form belongs to this sign-in."""
    expected = request.app[SERVICE].sign_in.build_form_token(claims, path)
    # They are compared as bytes, because what was sent may hold other characters than ASCII.
    if not hmac.compare_digest(expected.encode(), shown.encode()):
        raise ForbiddenError(
            "this form belongs to another sign-in, so nothing was changed: open the page again",
            reason="wrong_form_token",
        )
