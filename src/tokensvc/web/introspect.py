"""`POST /v1/introspect`: is this token live (RFC 7662)? For those who cannot follow the feed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from tokensvc.core.capability import INTROSPECT
from tokensvc.core.claims import build_payload
from tokensvc.core.errors import InvalidRequestError
from tokensvc.issuer.exchange.ledger import build_late_error
from tokensvc.issuer.in_time import in_time
from tokensvc.web.app_keys import SERVICE
from tokensvc.web.client_authentication import authenticate
from tokensvc.web.forms import read_form
from tokensvc.web.middleware import note
from tokensvc.web.problems import NO_STORE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokensvc.core.claims import Claims


async def post_introspect(request: web.Request) -> web.Response:
    """Answer what a live token says, and of everything else only that it is not active.

    RFC 7662 section 2.2.
    """
    form = await read_form(request)
    return await in_time(_introspect(request, form), build_late_error())


async def _introspect(request: web.Request, form: Mapping[str, str]) -> web.Response:
    await authenticate(request, form, INTROSPECT)
    if "token" not in form:
        raise InvalidRequestError("token is required: the access token to ask about")
    claims = await request.app[SERVICE].callers.introspection.find(form["token"])
    note(request, active=claims is not None, jti=None if claims is None else claims.jti)
    return web.json_response(build_introspection(claims), headers=NO_STORE)


def build_introspection(claims: Claims | None) -> dict[str, object]:
    """Return the answer about a token; `claims` is None if it is not live."""
    if claims is None:
        return {"active": False}
    return {"active": True, "token_type": "Bearer", **build_payload(claims)}
