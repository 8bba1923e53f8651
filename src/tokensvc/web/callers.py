"""Authentication of those who call what is not open to everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.api_key import parse_api_key
from tokensvc.core.errors import InvalidClientError, MalformedAuthorizationError, MissingTokenError
from tokensvc.web.app_keys import CALLER, CHALLENGE, SERVICE
from tokensvc.web.middleware import note
from tokensvc.web.network import find_network
from tokensvc.web.token_request import find_scheme, parse_authorization

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web


async def authenticate(request: web.Request, capability: str) -> None:
    """Let the request pass if it shows a live token of ours, or an API key, with `capability`; note whose, under CALLER.

    A token or a key as Bearer, or HTTP Basic `key id:API key`. Raises InvalidClientError, InvalidTokenError, InsufficientScopeError and
    the like.
    """
    service, headers = request.app[SERVICE], request.headers.getall("Authorization", [])
    request[CHALLENGE] = find_scheme(headers, {})
    shown = parse_authorization(headers)
    if shown is None:
        raise InvalidClientError("no_credentials")
    if shown.scheme == "Bearer" and "." in shown.secret:  # no key holds a dot, and every token does
        key_id = await service.callers.check_token(shown.secret, capability)
    else:
        key = parse_api_key(shown.secret, service.settings.key_prefix)
        network = find_network(request, service.settings.trusted_proxy_hops)
        key_id = await service.callers.check_key(key, shown.client_id, network, capability)
    request[CALLER] = key_id
    note(request, caller=key_id)


async def authenticate_follower(request: web.Request) -> None:
    """Let the request pass if it shows a live token of ours that may follow the feed; note whose, under CALLER. Raises BearerError."""
    text = _read_bearer(request.headers.getall("Authorization", []))
    request[CALLER] = key_id = await request.app[SERVICE].callers.check_follower(text)
    note(request, caller=key_id)


def _read_bearer(headers: Sequence[str]) -> str:
    if len(headers) > 1:
        raise MalformedAuthorizationError("two_authorization_headers")
    scheme, _, token = headers[0].strip().partition(" ") if headers else ("", "", "")
    if scheme.lower() != "bearer":
        raise MissingTokenError
    return token.strip()
