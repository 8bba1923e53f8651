"""Puts tokens on the requests of an httpx Client or AsyncClient.

    httpx.Client(auth=BearerAuth(threaded_source, allowed_hosts={"orders.example.com"}))
    httpx.AsyncClient(auth=BearerAuth(source, allowed_hosts={"orders.example.com"}))

httpx itself takes the token off when a redirect leads to another origin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import httpx

from tokensvc.client._bearer_rule import BearerRule, Sent, check_source
from tokensvc.client._source import TokenSource
from tokensvc.client._threaded import ThreadedTokenSource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from typing import Unpack

    from tokensvc.client._bearer_rule import BearerOptions

_NEEDED_BY_SYNC: Final[dict[str, type]] = {"an httpx.Client": ThreadedTokenSource}
_NEEDED_BY_ASYNC: Final[dict[str, type]] = {"an httpx.AsyncClient": TokenSource}


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
        check_source(source, _NEEDED_BY_SYNC | _NEEDED_BY_ASYNC)
        self._source = source
        # Its tokens are to be awaited or not. Each flow checks its source first.
        self._rule: BearerRule[Any] = BearerRule(source, **options)

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request, at most twice. Raises HostNotAllowedError, BodyNotRepeatableError."""
        check_source(self._source, _NEEDED_BY_SYNC)
        is_covered = self._rule.covers(_describe(request))
        if is_covered:
            request.headers["Authorization"] = f"Bearer {self._rule.get_token()}"
        response = yield request
        if is_covered and self._must_repeat(request, response):
            request.headers["Authorization"] = f"Bearer {self._rule.get_token()}"
            yield request

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Send the request, at most twice. Raises HostNotAllowedError, BodyNotRepeatableError."""
        check_source(self._source, _NEEDED_BY_ASYNC)
        is_covered = self._rule.covers(_describe(request))
        if is_covered:
            request.headers["Authorization"] = f"Bearer {await self._rule.get_token()}"
        response = yield request
        if is_covered and self._must_repeat(request, response):
            request.headers["Authorization"] = f"Bearer {await self._rule.get_token()}"
            yield request

    def _must_repeat(self, request: httpx.Request, response: httpx.Response) -> bool:
        return self._rule.must_repeat(
            _describe(response.request),  # another one than `request` after a redirect
            response.status_code,
            response.headers.get_list("WWW-Authenticate"),
            is_repeatable=isinstance(request.stream, httpx.ByteStream),
        )


def _describe(request: httpx.Request) -> Sent:
    url, authorization = request.url, request.headers.get("Authorization")
    host = url.raw_host.decode("ascii")
    return Sent(scheme=url.scheme, host=host, port=url.port, authorization=authorization)
