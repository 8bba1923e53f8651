"""Who sends a request: the client that an OAuth endpoint is shown, the follower of the feed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.api_key import parse_api_key
from tokensvc.core.authorization import parse_bearer, parse_client
from tokensvc.core.errors import NoClientError
from tokensvc.web.app_keys import CALLER, CHALLENGE, SERVICE
from tokensvc.web.client_address import find_client_place
from tokensvc.web.middleware import note
from tokensvc.web.token_request import CLIENT_CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from tokensvc.core.authorization import Authorization
    from tokensvc.issuer.callers import KnownCaller
    from tokensvc.web.plain_request import PlainRequest


def read_client(
    request: web.Request | PlainRequest, form: Mapping[str, str]
) -> Authorization | None:
    """Return the client that a request to an OAuth endpoint shows, None if it shows none.

    Raises InvalidRequestError, InvalidClientError.
    """
    headers = request.headers.getall("Authorization", [])
    if not headers and ("client_secret" in form or form.get("grant_type") == CLIENT_CREDENTIALS):
        request[CHALLENGE] = "Basic"  # the form says the same in other words
    return parse_client(headers, form)


async def check_client(
    request: web.Request, client: Authorization, capability: str | None = None
) -> KnownCaller:
    """Return whose client it is, if it is good, and note that under CALLER.

    A client shows a live token of ours, or an API key, that has `capability` if one is named.
    Raises InvalidClientError, InvalidTokenError, InsufficientScopeError and the like.
    """
    service = request.app[SERVICE]
    place = find_client_place(request, service.settings.trusted_proxy_hops)
    # No API key holds a dot, and every token does.
    if client.scheme == "Bearer" and "." in client.secret:
        caller = await service.callers.check_token(client.secret, place.network, capability)
    else:
        key = parse_api_key(client.secret, service.settings.key_prefix)
        caller = await service.callers.check_key(key, client.client_id, place, capability)
    _note_caller(request, caller)
    return caller


async def authenticate(request: web.Request, form: Mapping[str, str], capability: str) -> None:
    """As `check_client`, for a request that must show its client."""
    client = read_client(request, form)
    if client is None:
        raise NoClientError("no_credentials")
    await check_client(request, client, capability)


async def authenticate_follower(request: web.Request) -> None:
    """Let a request of a follower pass; if it shows a token, note whose that is, under CALLER.

    On an open feed a token is optional. But one that is shown must be good: its sender relies on
    being known, and must learn that it is not. Raises BearerError.
    """
    is_open = request.app[SERVICE].settings.feed_authentication != "required"
    if is_open and "Authorization" not in request.headers:
        return
    token = parse_bearer(request.headers.getall("Authorization", []))
    _note_caller(request, await request.app[SERVICE].callers.check_follower(token))


def _note_caller(request: web.Request, caller: KnownCaller) -> None:
    request[CALLER] = caller.key_id
    note(request, caller=caller.key_id)
