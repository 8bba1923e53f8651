"""Who calls an operation: the holder of an API key, or of a token for the audience `tokensvc`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.actor import Actor
from tokensvc.core.authorization import parse_authorization
from tokensvc.core.errors import (
    AuthorizationError,
    MalformedAuthorizationError,
    MissingCredentialError,
)
from tokensvc.operations.rights import Principal
from tokensvc.web.app_keys import REQUEST_ID, SERVICE
from tokensvc.web.client_address import find_address
from tokensvc.web.client_authentication import check_client

if TYPE_CHECKING:
    from aiohttp import web

    from tokensvc.core.authorization import Authorization


async def find_principal(request: web.Request) -> Principal:
    """Return who calls, judged by Postgres in this moment.

    Raises MissingCredentialError, MalformedAuthorizationError, InvalidTokenError,
    InvalidClientError, RateLimitedError, UnavailableError.
    """
    caller = await check_client(request, _read_credential(request))
    hops = request.app[SERVICE].settings.trusted_proxy_hops
    return Principal(
        actor=Actor(
            name=caller.key_id,
            account_id=caller.account_id,
            address=find_address(request, hops),
            request_id=request[REQUEST_ID],
            must_stand=True,
        ),
        capabilities=caller.capabilities,
        key_id=caller.key_id,
        account_id=caller.account_id,
        shown_at=caller.shown_at,
        by_key=caller.shown_at is None,
    )


def _read_credential(request: web.Request) -> Authorization:
    try:
        shown = parse_authorization(request.headers.getall("Authorization", []))
    except AuthorizationError as error:
        if error.is_bad_request:
            raise MalformedAuthorizationError(error.reason) from error
        raise MissingCredentialError from error
    if shown is None:
        raise MissingCredentialError
    return shown
