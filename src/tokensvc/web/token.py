"""`POST /v1/token`: the exchange (RFC 6749, RFC 8693), and `POST /v1/revoke` (RFC 7009)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from tokensvc.core.errors import InvalidClientError, InvalidRequestError, InvalidSubjectTokenError
from tokensvc.web.forms import read_form
from tokensvc.web.keys import CHALLENGE, SERVICE
from tokensvc.web.middleware import note
from tokensvc.web.problems import NO_STORE
from tokensvc.web.token_request import (
    ACCESS_TOKEN_TYPE,
    TOKEN_EXCHANGE,
    find_scheme,
    parse_authorization,
    parse_token_request,
)

if TYPE_CHECKING:
    from tokensvc.issuer.exchange import IssuedToken


async def post_token(request: web.Request) -> web.Response:
    """Exchange a credential for a token."""
    service, headers = request.app[SERVICE], request.headers.getall("Authorization", [])
    request[CHALLENGE] = find_scheme(headers, {})
    form = await read_form(request)
    request[CHALLENGE] = find_scheme(headers, form)
    wanted = parse_token_request(
        form,
        parse_authorization(headers),
        prefix=service.settings.key_prefix,
        check_subject_token=service.check_subject_token,
    )
    is_token_exchange = form.get("grant_type") == TOKEN_EXCHANGE
    try:
        issued = await service.exchange(wanted)
    except InvalidClientError as error:
        if is_token_exchange:  # RFC 8693 section 2.2.2
            raise InvalidSubjectTokenError(error.reason) from error
        raise
    note(request, key_id=issued.claims.client_id, jti=issued.claims.jti, aud=issued.claims.aud)
    return web.json_response(_build_body(issued, is_token_exchange=is_token_exchange), headers=NO_STORE)


async def post_revoke(request: web.Request) -> web.Response:
    """Revoke the token or API key that is shown; 200 also for what is unknown (RFC 7009 section 2.2)."""
    form = await read_form(request)
    if "token" not in form:
        msg = "token is required: the access token or API key to revoke"
        raise InvalidRequestError(msg)
    kind, public_id = await request.app[SERVICE].revoke(form["token"])
    note(request, revoked=kind, id=public_id)
    return web.Response(headers=NO_STORE)


def _build_body(issued: IssuedToken, *, is_token_exchange: bool) -> dict[str, object]:
    claims = issued.claims
    body: dict[str, object] = {
        "access_token": issued.text,
        "token_type": "Bearer",
        "expires_in": claims.exp - claims.iat,
        "scope": " ".join(claims.scope),
    }
    if is_token_exchange:
        body["issued_token_type"] = ACCESS_TOKEN_TYPE
    return body
