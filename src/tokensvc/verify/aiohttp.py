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
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web

from tokensvc.core.claims import Claims
from tokensvc.core.errors import BearerError
from tokensvc.verify.bearer import authorize, build_answer, log_refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp.typedefs import Handler, Middleware

    from tokensvc.verify.bearer import VerifiesTokens
    from tokensvc.verify.verifier import Verifier

CLAIMS = web.RequestKey("tokensvc_claims", Claims)

_PUBLIC = "__tokensvc_public__"
_REQUIRES = "__tokensvc_requires__"

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


def auth_middleware(verifier: VerifiesTokens) -> Middleware:
    """Return the middleware. Refusals are answered as RFC 6750 section 3 says, with a problem document (RFC 9457)."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        called = _unwrap(request.match_info.handler)
        method = getattr(called, request.method.lower(), None)  # of a view class
        if vars(called).get(_PUBLIC, False):  # its own mark: a view does not inherit openness
            return await handler(request)
        needed: tuple[str, ...] = (*getattr(called, _REQUIRES, ()), *getattr(method, _REQUIRES, ()))
        try:
            request[CLAIMS] = authorize(
                verifier, request.headers.getall("Authorization", []), needed
            )
        except BearerError as error:
            log_refusal(error, request.method, request.rel_url.raw_path)
            answer = build_answer(error)
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        return await handler(request)

    return guard


def _unwrap(handler: object) -> object:
    """Return the function or class that was marked, below partial() and decorators that used functools.wraps."""
    while True:
        inner = (
            handler.func
            if isinstance(handler, functools.partial)
            else getattr(handler, "__wrapped__", None)
        )
        if inner is None or _REQUIRES in vars(handler) or _PUBLIC in vars(handler):
            return handler
        handler = inner
