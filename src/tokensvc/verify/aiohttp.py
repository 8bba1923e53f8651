"""Guards an aiohttp application: every handler needs a token unless it is marked public.

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
from typing import TYPE_CHECKING, Final, TypeVar

from aiohttp import web

from tokensvc.core.claims import Claims
from tokensvc.core.errors import BearerError
from tokensvc.verify._bearer import authorize, build_refusal_response, log_refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp.typedefs import Handler, Middleware

    from tokensvc.verify._bearer import VerifiesTokens
    from tokensvc.verify._verifier import Verifier

CLAIMS: Final = web.RequestKey("tokensvc_claims", Claims)

_PUBLIC: Final = "__tokensvc_public__"
_REQUIRES: Final = "__tokensvc_requires__"

_H = TypeVar("_H")


def public(handler: _H) -> _H:
    """Mark a handler or a view class: it needs no token."""
    setattr(handler, _PUBLIC, True)
    return handler


def requires(*capabilities: str) -> Callable[[_H], _H]:
    """Mark a handler, a view class or a method of one: it needs all these capabilities.

    Several marks add up.
    """

    def mark(handler: _H) -> _H:
        setattr(handler, _REQUIRES, (*getattr(handler, _REQUIRES, ()), *capabilities))
        return handler

    return mark


def follow(verifier: Verifier) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return a cleanup context that runs the verifier for as long as the application runs."""

    async def run(_app: web.Application) -> AsyncIterator[None]:
        async with verifier:
            yield

    return run


def auth_middleware(verifier: VerifiesTokens) -> Middleware:
    """Return the middleware.

    It refuses as RFC 6750 section 3 says, with a problem document (RFC 9457).
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        called = _unwrap(request.match_info.handler)
        method = getattr(called, request.method.lower(), None)  # if it is a view class
        # Only its own mark counts: a view does not become public because its parent is.
        if vars(called).get(_PUBLIC, False):
            return await handler(request)
        needed: tuple[str, ...] = (*getattr(called, _REQUIRES, ()), *getattr(method, _REQUIRES, ()))
        try:
            request[CLAIMS] = authorize(
                verifier, request.headers.getall("Authorization", []), needed
            )
        except BearerError as error:
            log_refusal(error, request.method, request.rel_url.raw_path)
            refusal = build_refusal_response(error)
            return web.Response(status=refusal.status, headers=refusal.headers, body=refusal.body)
        return await handler(request)

    return guard


def _unwrap(handler: object) -> object:
    """Return the function or class that was marked.

    It may be inside of functools.partial and of decorators that use functools.wraps.
    """
    while True:
        inner = (
            handler.func
            if isinstance(handler, functools.partial)
            else getattr(handler, "__wrapped__", None)
        )
        if inner is None or _REQUIRES in vars(handler) or _PUBLIC in vars(handler):
            return handler
        handler = inner
