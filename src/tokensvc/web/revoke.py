"""`POST /v1/revoke`: whoever holds a token or an API key may revoke it (RFC 7009)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aiohttp import web

from tokensvc.core.errors import InvalidRequestError, OutcomeUnknownError
from tokensvc.issuer.in_time import in_time
from tokensvc.issuer.revoking.credentials import HOLDER
from tokensvc.web.app_keys import REQUEST_ID, SERVICE
from tokensvc.web.client_address import find_address, find_network
from tokensvc.web.client_authentication import check_client, read_client
from tokensvc.web.forms import read_form
from tokensvc.web.middleware import note
from tokensvc.web.problems import NO_STORE

if TYPE_CHECKING:
    from collections.abc import Mapping


async def post_revoke(request: web.Request) -> web.Response:
    """Revoke the token or API key that is shown.

    The answer is 200 also for what is unknown (RFC 7009 section 2.2).
    """
    form = await read_form(request)
    pending = OutcomeUnknownError(
        "the database did not confirm the revocation in time; it may have happened. "
        "Repeat the request: that is safe",
        reason="not_in_time",
    )
    return await in_time(_revoke(request, form), pending)


async def _revoke(request: web.Request, form: Mapping[str, str]) -> web.Response:
    await _check_shown_client(request, form)
    if "token" not in form:
        raise InvalidRequestError("token is required: the access token or API key to revoke")
    service = request.app[SERVICE]
    hops = service.settings.trusted_proxy_hops
    address = find_address(request, hops)
    holder = replace(HOLDER, address=address, request_id=request[REQUEST_ID])
    kind, public_id = await service.holders.revoke(
        form["token"], find_network(request, hops), holder
    )
    note(request, revoked=kind, id=public_id)
    # Nobody need read it (RFC 7009 section 2.2), but some libraries fail without JSON.
    return web.json_response({}, headers=NO_STORE)


async def _check_shown_client(request: web.Request, form: Mapping[str, str]) -> None:
    """Let pass who shows no client, or a good one (RFC 7009 section 2.1)."""
    client = read_client(request, form)
    # A client that is itself to be revoked needs no check: to hold it is enough. If it were
    # checked, the repeat of a revocation whose answer was lost would be refused.
    if client is not None and client.secret != form.get("token"):
        await check_client(request, client)
