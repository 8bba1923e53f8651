"""Puts tokens on the requests of an httpx Client or AsyncClient.

    httpx.Client(auth=BearerAuth(threaded_source, allowed_hosts={"orders.example.com"}))
    httpx.AsyncClient(auth=BearerAuth(source, allowed_hosts={"orders.example.com"}))

httpx itself takes the token off when a redirect leads to another origin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from tokensvc.client._bearer_rule import BearerRule, Sent
from tokensvc.client._errors import BodyNotRepeatableError
from tokensvc.client._source import TokenSource
from tokensvc.client._threaded import ThreadedTokenSource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from typing import Unpack

    from tokensvc.client._bearer_rule import BearerOptions

_HEADER = "Authorization"


class BearerAuth(httpx.Auth):
    """Puts a token on each request to `allowed_hosts`, and another one if that is refused.

    A Client needs a ThreadedTokenSource, an AsyncClient a TokenSource. The constructor raises
    TypeError if `source` is neither, and the first request raises it if `source` is the wrong one.
    Options: `allowed_hosts`, `audience`, `scope`, and `elsewhere` for requests to other hosts,
    which raise HostNotAllowedError ("refuse", the default) or are sent without a token
    ("no_token").
    """

    def __init__(
        self, source: TokenSource | ThreadedTokenSource, **options: Unpack[BearerOptions]
    ) -> None:
        self._rule = self._async_rule = None
        if isinstance(source, ThreadedTokenSource):
            self._rule = BearerRule(source, **options)
        elif isinstance(source, TokenSource):
            self._async_rule = BearerRule(source, **options)
        else:
            raise TypeError(
                "an httpx.Client needs a ThreadedTokenSource, an httpx.AsyncClient a TokenSource"
            )

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request, at most twice. Raises HostNotAllowedError, BodyNotRepeatableError."""
        if self._rule is None:
            raise TypeError("an httpx.Client needs a ThreadedTokenSource")
        if not self._rule.covers(_describe(request)):
            yield request
            return
        request.headers[_HEADER] = f"Bearer {self._rule.get_token()}"
        response = yield request
        if self._rule.must_repeat(_describe(response.request), *_read_refusal(response)):
            _check_repeatable(request)
            request.headers[_HEADER] = f"Bearer {self._rule.get_token()}"
            yield request

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the request, at most twice. Raises HostNotAllowedError, BodyNotRepeatableError."""
        if self._async_rule is None:
            raise TypeError("an httpx.AsyncClient needs a TokenSource")
        if not self._async_rule.covers(_describe(request)):
            yield request
            return
        request.headers[_HEADER] = f"Bearer {await self._async_rule.get_token()}"
        response = yield request
        if self._async_rule.must_repeat(_describe(response.request), *_read_refusal(response)):
            _check_repeatable(request)
            request.headers[_HEADER] = f"Bearer {await self._async_rule.get_token()}"
            yield request


def _describe(request: httpx.Request) -> Sent:
    return Sent(
        scheme=request.url.scheme,
        host=request.url.raw_host.decode("ascii"),
        port=request.url.port,
        authorization=request.headers.get(_HEADER),
    )


def _read_refusal(response: httpx.Response) -> tuple[int, list[str]]:
    return response.status_code, response.headers.get_list("WWW-Authenticate")


def _check_repeatable(request: httpx.Request) -> None:
    if not isinstance(request.stream, httpx.ByteStream):
        raise BodyNotRepeatableError
