"""Puts tokens on the requests of an httpx Client or AsyncClient.

    httpx.Client(auth=BearerAuth(threaded_source, allowed_hosts={"orders.example.com"}))
    httpx.AsyncClient(auth=BearerAuth(source, allowed_hosts={"orders.example.com"}))

httpx itself takes the token off when a redirect leads to another origin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Unpack

from httpx import Auth, ByteStream, Request, Response

from tokensvc.client._bearer_rule import BearerOptions, BearerRule, Sent
from tokensvc.client._source import TokenSource
from tokensvc.client._threaded import ThreadedTokenSource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

_SYNC: Final[dict[str, type]] = {"an httpx.Client": ThreadedTokenSource}
_ASYNC: Final[dict[str, type]] = {"an httpx.AsyncClient": TokenSource}


class BearerAuth(Auth):
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
        # Its tokens are to be awaited or not. Each flow checks its source first.
        self._rule: BearerRule[Any] = BearerRule(source, _SYNC | _ASYNC, **options)

    def sync_auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """Send the request, at most twice. Raises HostNotAllowedError, BodyNotRepeatableError."""
        self._rule.check_source(_SYNC)
        if self._rule.covers(_describe(request)):
            request.headers["Authorization"] = f"Bearer {self._rule.get_token()}"
        # httpx sends what is yielded, and the response comes back as the value of `yield`.
        if self._must_repeat(request, (yield request)):
            request.headers["Authorization"] = f"Bearer {self._rule.get_token()}"
            yield request

    async def async_auth_flow(self, request: Request) -> AsyncGenerator[Request, Response]:
        """Send the request, at most twice. Raises HostNotAllowedError, BodyNotRepeatableError."""
        self._rule.check_source(_ASYNC)
        if self._rule.covers(_describe(request)):
            request.headers["Authorization"] = f"Bearer {await self._rule.get_token()}"
        if self._must_repeat(request, (yield request)):
            request.headers["Authorization"] = f"Bearer {await self._rule.get_token()}"
            yield request

    def _must_repeat(self, request: Request, response: Response) -> bool:
        sent = _describe(response.request)  # another one than `request` after a redirect
        challenges = response.headers.get_list("WWW-Authenticate")
        is_repeatable = isinstance(request.stream, ByteStream)
        return self._rule.must_repeat(
            sent, response.status_code, challenges, is_repeatable=is_repeatable
        )


def _describe(request: Request) -> Sent:
    url, authorization = request.url, request.headers.get("Authorization")
    host = url.raw_host.decode("ascii")
    return Sent(scheme=url.scheme, host=host, port=url.port, authorization=authorization)
