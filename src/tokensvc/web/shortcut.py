"""A short way to the exchange: past aiohttp's router and middlewares, and mostly past aiohttp.

The router builds a URL, looks through its routes, and notes on each request what it has found. For
one path that is known beforehand, and that most requests are for, this costs 8 % of all the CPU of
an exchange (decision 0022). And a request that is plain needs no more of aiohttp than the
connection (decision 0029). What differs in anything takes the usual way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import hdrs
from aiohttp.web_urldispatcher import UrlMappingMatchInfo

from tokensvc.web.app_keys import IN_FLIGHT, SERVICE
from tokensvc.web.expectation import answer_expecting
from tokensvc.web.middleware import Around
from tokensvc.web.plain_request import read_plain
from tokensvc.web.token import exchange, post_token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from tokensvc.web.plain_request import PlainRequest
    from tokensvc.web.whole_answer import WholeAnswer

    _Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Shortcut:
    """The short way into `app`, which has its service already; `answer` is the usual one."""

    def __init__(self, app: web.Application, answer: _Answer) -> None:
        self._app = app
        self._usual_answer = answer
        self._service = app[SERVICE]
        self._in_flight = app[IN_FLIGHT]
        self._around: dict[str, Around] = {}
        self._matches: dict[str, UrlMappingMatchInfo] = {}
        for route in app.router.routes():
            if route.handler is post_token and route.resource is not None:
                path = route.resource.canonical
                self._around[path] = Around(self._in_flight, path)
                # Nothing changes on the way, so all requests can share what is known of the route.
                match = self._matches[path] = UrlMappingMatchInfo({}, route)
                match.add_app(app)
                match.freeze()

    def read(self, data: bytes, remote: str) -> PlainRequest | None:
        """Return the plain exchange that `data` is, None if aiohttp must read it.

        A process that leaves reads none: aiohttp closes the connection after its answer.
        """
        if self._in_flight.is_draining:
            return None
        return read_plain(data, self._around, self._app, remote)

    def answer_plain(self, request: PlainRequest) -> Awaitable[WholeAnswer]:
        """Return the answer to a plain exchange."""
        answer: Any = self._around[request.path].answer(request, self._act)
        return answer  # type: ignore[no-any-return]

    def answer(self, given: Any) -> Awaitable[web.StreamResponse]:  # noqa: ANN401 - a web.Request
        """Answer what aiohttp has read."""
        match = self._matches.get(given.raw_path)
        if hdrs.EXPECT in given.headers:
            return answer_expecting(self._app, self._usual_answer, given)
        if match is None or given.method != hdrs.METH_POST:
            return self._usual_answer(given)
        given._match_info = match  # noqa: SLF001 - aiohttp offers no other way
        return self._around[given.raw_path].answer(given, self._act)

    def _act(
        self,
        request: web.Request | PlainRequest,
        _request_id: str,
        facts: dict[str, object],
    ) -> Awaitable[WholeAnswer]:
        return exchange(request, self._service, facts)
