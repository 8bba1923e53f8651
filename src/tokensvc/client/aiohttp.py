"""Tokens on the requests of an aiohttp ClientSession.

    auth = BearerMiddleware(source, allowed_hosts={"orders.example.com"})
    async with aiohttp.ClientSession(middlewares=[auth]) as session:
        async with session.get("https://orders.example.com/v1/orders") as response: ...

aiohttp calls it for every hop of a redirect, so each hop is judged by its own host. The token is got by the source's own session, never
by this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs
from aiohttp.payload import Payload

from tokensvc.client.challenge import refuses_token
from tokensvc.client.errors import BodyNotRepeatableError
from tokensvc.client.target import Targets

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

    from tokensvc.client.source import TokenSource
    from tokensvc.client.target import Elsewhere


class BearerMiddleware:
    """Puts a token on each request to `allowed_hosts`, and repeats it once with another one if the token is refused.

    `elsewhere`: requests to other hosts raise HostNotAllowedError ("refuse") or go without a token ("no_token").
    """

    def __init__(
        self,
        source: TokenSource,
        *,
        allowed_hosts: Collection[str],
        audience: str | None = None,
        scope: str | None = None,
        elsewhere: Elsewhere = "refuse",
    ) -> None:
        self._source = source
        self._targets = Targets(allowed_hosts, elsewhere)
        self._audience = audience
        self._scope = scope

    async def __call__(self, req: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Send the request, at most twice."""
        if not self._targets.cover(req.url.scheme, req.url.raw_host or "", req.url.port):
            return await handler(req)
        token = await self._put_token(req)
        response = await handler(req)
        if not refuses_token(response.status, response.headers.getall(hdrs.WWW_AUTHENTICATE, [])):
            return response
        if not self._source.drop_token(token, audience=self._audience, scope=self._scope):
            return response
        response.close()
        await req.close()  # the body may still be on its way
        if isinstance(req.body, Payload) and req.body.consumed:
            raise BodyNotRepeatableError
        await self._put_token(req)
        return await handler(req)

    async def _put_token(self, req: ClientRequest) -> str:
        token = await self._source.get_token(audience=self._audience, scope=self._scope)
        req.headers[hdrs.AUTHORIZATION] = f"Bearer {token}"
        return token
