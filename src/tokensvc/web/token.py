"""`POST /v1/token`: the exchange (RFC 6749, RFC 8693), and `POST /v1/revoke` (RFC 7009)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from aiohttp import web
from multidict import CIMultiDict

from tokensvc.core.capability import build_scope
from tokensvc.core.errors import (
    InvalidClientError,
    InvalidRequestError,
    InvalidSubjectTokenError,
    RateLimitedError,
    TokensvcError,
)
from tokensvc.core.limit import DAY, MINUTE, seconds_left
from tokensvc.core.usage import ISSUED
from tokensvc.issuer.metrics import EXCHANGES, RATE_LIMITED
from tokensvc.web.app_keys import CHALLENGE, SERVICE
from tokensvc.web.forms import read_form
from tokensvc.web.middleware import note
from tokensvc.web.network import find_network
from tokensvc.web.problems import NO_STORE
from tokensvc.web.token_request import (
    ACCESS_TOKEN_TYPE,
    TOKEN_EXCHANGE,
    find_scheme,
    parse_authorization,
    parse_token_request,
)

if TYPE_CHECKING:
    from tokensvc.core.ledger import Decision
    from tokensvc.issuer.exchange.issuing import IssuedToken

_ISSUED = EXCHANGES.labels(ISSUED)


async def post_token(request: web.Request) -> web.Response:
    """Exchange a credential for a token."""
    try:
        response = await _exchange(request)
    except RateLimitedError as error:
        RATE_LIMITED.labels(error.policy).inc()
        EXCHANGES.labels(error.reason).inc()
        raise
    except TokensvcError as error:
        EXCHANGES.labels(error.reason).inc()
        raise
    _ISSUED.inc()
    return response


async def _exchange(request: web.Request) -> web.Response:
    service, headers = request.app[SERVICE], request.headers.getall("Authorization", [])
    request[CHALLENGE] = find_scheme(headers, {})
    form = await read_form(request)
    request[CHALLENGE] = find_scheme(headers, form)
    wanted = parse_token_request(
        form,
        parse_authorization(headers),
        prefix=service.settings.key_prefix,
        check_subject_token=service.exchange.check_subject_token,
    )
    is_token_exchange = form.get("grant_type") == TOKEN_EXCHANGE
    try:
        issued = await service.exchange.issue(
            wanted, find_network(request, service.settings.trusted_proxy_hops)
        )
    except InvalidClientError as error:
        if is_token_exchange:  # RFC 8693 section 2.2.2
            raise InvalidSubjectTokenError(error.reason) from error
        raise
    note(request, key_id=issued.claims.client_id, jti=issued.claims.jti, aud=issued.claims.aud)
    body = _build_body(issued, is_token_exchange=is_token_exchange)
    return web.Response(body=body, headers=_build_headers(issued.decision))


async def post_revoke(request: web.Request) -> web.Response:
    """Revoke the token or API key that is shown; 200 also for what is unknown (RFC 7009 section 2.2)."""
    form = await read_form(request)
    if "token" not in form:
        raise InvalidRequestError("token is required: the access token or API key to revoke")
    kind, public_id = await request.app[SERVICE].revoke(form["token"])
    note(request, revoked=kind, id=public_id)
    return web.Response(headers=NO_STORE)


def _build_headers(decision: Decision) -> CIMultiDict[str]:
    """Return the headers of an answer with a token, among them the fields of draft-ietf-httpapi-ratelimit-headers-11.

    They tell the two limits of the key, and how it stands with the tighter one.

    The account's limits are named in a refusal only: they would tell one key what its neighbours do.
    """
    quota, at, unspent = decision.verdict.quota, decision.verdict.at, decision.unspent
    minute, day = quota.key_minute_left + unspent, quota.key_day_left + unspent
    name, left, window = ("key-minute", minute, MINUTE) if minute <= day else ("key-day", day, DAY)
    return CIMultiDict(
        NO_STORE,
        **{
            "Content-Type": "application/json; charset=utf-8",
            "RateLimit-Policy": _policies(quota.key_per_minute, quota.key_per_day),
            "RateLimit": f'"{name}";r={left};t={seconds_left(window, at)}',
        },
    )


@functools.lru_cache(maxsize=1024)
def _policies(per_minute: int, per_day: int) -> str:
    return f'"key-minute";q={per_minute};w={MINUTE}, "key-day";q={per_day};w={DAY}'


def _build_body(issued: IssuedToken, *, is_token_exchange: bool) -> bytes:
    """Return the answer of RFC 6749 section 5.1. Neither a token nor a capability can hold a character that JSON would have to escape."""
    claims = issued.claims
    kind = f', "issued_token_type": "{ACCESS_TOKEN_TYPE}"' if is_token_exchange else ""
    return (
        f'{{"access_token": "{issued.text}", "token_type": "Bearer", "expires_in": {claims.exp - claims.iat}, '
        f'"scope": "{build_scope(claims.scope)}"{kind}}}'
    ).encode("ascii")
