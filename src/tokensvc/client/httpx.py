"""Tokens on the requests of an httpx Client or AsyncClient.

    httpx.Client(auth=BearerAuth(threaded_source, allowed_hosts={"orders.example.com"}))
    httpx.AsyncClient(auth=BearerAuth(source, allowed_hosts={"orders.example.com"}))

httpx itself takes the token off when a redirect leaves the origin. The token is got by the source, never by this client: its redirects,
proxies and hooks do not see the API key. Nothing is locked while the flow waits for httpx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from tokensvc.client.challenge import refuses_token
from tokensvc.client.errors import BodyNotRepeatableError
from tokensvc.client.source import TokenSource
from tokensvc.client.target import Targets
from tokensvc.client.threaded import ThreadedTokenSource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Generator

    from tokensvc.client.target import Elsewhere

_HEADER = "Authorization"


class BearerAuth(httpx.Auth):
    """Puts a token on each request to `allowed_hosts`, and repeats it once with another one if the token is refused.

    A Client needs a ThreadedTokenSource, an AsyncClient a TokenSource. `elsewhere`: requests to other hosts raise HostNotAllowedError
    ("refuse") or go without a token ("no_token").
    """

    def __init__(
        self,
        source: TokenSource | ThreadedTokenSource,
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

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request, at most twice."""
        if not isinstance(self._source, ThreadedTokenSource):
            raise TypeError("an httpx.Client needs a ThreadedTokenSource")
        if not self._covers(request):
            yield request
            return
        token = self._source.get_token(audience=self._audience, scope=self._scope)
        request.headers[_HEADER] = f"Bearer {token}"
        response = yield request
        if self._drops(token, response):
            _check_repeatable(request)
            token = self._source.get_token(audience=self._audience, scope=self._scope)
            request.headers[_HEADER] = f"Bearer {token}"
            yield request

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the request, at most twice."""
        if not isinstance(self._source, TokenSource):
            raise TypeError("an httpx.AsyncClient needs a TokenSource")
        if not self._covers(request):
            yield request
            return
        token = await self._source.get_token(audience=self._audience, scope=self._scope)
        request.headers[_HEADER] = f"Bearer {token}"
        response = yield request
        if self._drops(token, response):
            _check_repeatable(request)
            token = await self._source.get_token(audience=self._audience, scope=self._scope)
            request.headers[_HEADER] = f"Bearer {token}"
            yield request

    def _covers(self, request: httpx.Request) -> bool:
        url = request.url
        return self._targets.cover(url.scheme, url.raw_host.decode("ascii"), url.port)

    def _drops(self, token: str, response: httpx.Response) -> bool:
        """Return whether the request is worth repeating: this token was refused, not a request that a redirect had taken it off."""
        return (
            refuses_token(response.status_code, response.headers.get_list("WWW-Authenticate"))
            and response.request.headers.get(_HEADER) == f"Bearer {token}"
            and self._source.drop_token(token, audience=self._audience, scope=self._scope)
        )


def _check_repeatable(request: httpx.Request) -> None:
    if not isinstance(request.stream, httpx.ByteStream):
        raise BodyNotRepeatableError
