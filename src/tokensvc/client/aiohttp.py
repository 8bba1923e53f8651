"""Puts tokens on the requests of an aiohttp ClientSession.

    auth = BearerMiddleware(source, allowed_hosts={"orders.example.com"})
    async with aiohttp.ClientSession(middlewares=[auth]) as session:
        async with session.get("https://orders.example.com/v1/orders") as response: ...

aiohttp calls the middleware for every request, also after a redirect, so each is judged by its own
host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from aiohttp import hdrs
from aiohttp.payload import Payload

from tokensvc.client._bearer_rule import BearerOptions, BearerRule, Sent
from tokensvc.client._errors import BodyNotRepeatableError
from tokensvc.client._source import TokenSource

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse


class BearerMiddleware:
    """Puts a token on each request to `allowed_hosts`, and another one if that is refused.

    `source` must be a TokenSource; the constructor raises TypeError for anything else. Options:
    `allowed_hosts`, `audience`, `scope`, and `elsewhere` for requests to other hosts, which raise
    HostNotAllowedError ("refuse", the default) or are sent without a token ("no_token").
    """

    def __init__(self, source: TokenSource, **options: Unpack[BearerOptions]) -> None:
        self._rule = BearerRule(source, {"an aiohttp.ClientSession": TokenSource}, **options)

    async def __call__(self, req: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send the request, at most twice. Raises HostNotAllowedError, BodyNotRepeatableError."""
        if not self._rule.covers(_describe(req)):
            return await handler(req)
        req.headers[hdrs.AUTHORIZATION] = f"Bearer {await self._rule.get_token()}"
        response = await handler(req)
        challenges = response.headers.getall(hdrs.WWW_AUTHENTICATE, [])
        if not self._rule.must_repeat(_describe(req), response.status, challenges):
            return response
        # It is not read to its end, because it may be long.
        response.close()
        await req.close()  # aiohttp may still be sending the body
        if isinstance(req.body, Payload) and req.body.consumed:
            raise BodyNotRepeatableError
        req.headers[hdrs.AUTHORIZATION] = f"Bearer {await self._rule.get_token()}"
        return await handler(req)


def _describe(req: ClientRequest) -> Sent:
    return Sent(
        scheme=req.url.scheme,
        host=req.url.raw_host or "",
        port=req.url.port,
        authorization=req.headers.get(hdrs.AUTHORIZATION),
    )
