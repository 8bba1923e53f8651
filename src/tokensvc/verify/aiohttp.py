"""Guarding an aiohttp application: every handler needs a token unless it says otherwise.

verifier = Verifier(issuer="https://auth.example.com", audience="orders-api")
app = web.Application(middlewares=[auth_middleware(verifier)])
app.cleanup_ctx.append(follow(verifier))

@requires("orders:read")
async def list_orders(request):
    return web.json_response({"for": request[CLAIMS].sub})

@public
async def health(request): ...
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web

from tokensvc.core.claims import Claims
from tokensvc.core.errors import BearerError, InsufficientScopeError, MalformedAuthorizationError, MissingTokenError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from aiohttp.typedefs import Handler, Middleware

    from tokensvc.verify.verifier import Verifier

CLAIMS = web.RequestKey("tokensvc_claims", Claims)

_PUBLIC = "__tokensvc_public__"
_REQUIRES = "__tokensvc_requires__"

_log = logging.getLogger(__name__)
_H = TypeVar("_H")


def public(handler: _H) -> _H:
    """Let everybody call this handler (or view class)."""
    setattr(handler, _PUBLIC, True)
    return handler


def requires(*capabilities: str) -> Callable[[_H], _H]:
    """Let only tokens with all these capabilities call this handler (view class, or method of one); several add up."""

    def mark(handler: _H) -> _H:
        setattr(handler, _REQUIRES, (*getattr(handler, _REQUIRES, ()), *capabilities))
        return handler

    return mark


def follow(verifier: Verifier) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return a cleanup context that runs the verifier as long as the application."""

    async def run(_app: web.Application) -> AsyncIterator[None]:
        async with verifier:
            yield

    return run


def auth_middleware(verifier: Verifier) -> Middleware:
    """Return the middleware. Refusals are answered as RFC 6750 section 3 says, with a problem document (RFC 9457)."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        called = _unwrap(request.match_info.handler)
        method = getattr(called, request.method.lower(), None)  # of a view class
        if vars(called).get(_PUBLIC, False):  # its own mark: a view does not inherit openness
            return await handler(request)
        try:
            claims = verifier.verify(read_bearer(request.headers.getall("Authorization", [])))
            needed: tuple[str, ...] = (*getattr(called, _REQUIRES, ()), *getattr(method, _REQUIRES, ()))
            if not claims.has(*needed):
                raise InsufficientScopeError(" ".join(needed))
        except BearerError as error:
            _log.info("request refused: %s %s: %s", request.method, request.rel_url.raw_path, error.reason)
            return _answer(error)
        request[CLAIMS] = claims
        return await handler(request)

    return guard


def _unwrap(handler: object) -> object:
    """Return the function or class that was marked, below partial() and decorators that used functools.wraps."""
    while True:
        inner = handler.func if isinstance(handler, functools.partial) else getattr(handler, "__wrapped__", None)
        if inner is None or _REQUIRES in vars(handler) or _PUBLIC in vars(handler):
            return handler
        handler = inner


def read_bearer(headers: Sequence[str]) -> str:
    """Return the token of the Authorization headers. Raises MissingTokenError, MalformedAuthorizationError."""
    if not headers:
        raise MissingTokenError
    if len(headers) > 1:
        raise MalformedAuthorizationError("two_authorization_headers")
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() != "bearer":
        raise MissingTokenError
    if not token.strip():
        raise MalformedAuthorizationError("empty_bearer")
    return token.strip()


def _answer(error: BearerError) -> web.Response:
    body = {
        "type": f"urn:tokensvc:problem:{error.code}",
        "title": error.public_message,
        "status": error.status,
        "code": error.code,
    }
    return web.json_response(body, status=error.status, headers=error.headers, content_type="application/problem+json")
