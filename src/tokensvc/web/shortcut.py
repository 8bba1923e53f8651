"""A short way to the exchange, past aiohttp's router and its chain of middlewares.

The router builds a URL, looks through its routes, and notes on each request what it has found. For
one path that is known beforehand, and that most requests are for, this costs 8 % of all the CPU of
an exchange (decision 0022). What differs in anything from that path takes the usual way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import hdrs
from aiohttp.web_urldispatcher import UrlMappingMatchInfo

from tokensvc.web.app_keys import IN_FLIGHT, SERVICE
from tokensvc.web.middleware import Around
from tokensvc.web.token import exchange, post_token

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from tokensvc.web.whole_answer import WholeAnswer

    _Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def shorten(app: web.Application, answer: _Answer) -> _Answer:
    """Return what answers as `answer` does, the handler of `app`, but exchanges on a short way.

    `app` has its service already.
    """
    service = app[SERVICE]
    matches: dict[str, UrlMappingMatchInfo] = {}
    around: dict[str, Around] = {}
    for route in app.router.routes():
        if route.handler is post_token and route.resource is not None:
            # Nothing changes on the way, so all requests can share what is known of the route.
            match = matches[route.resource.canonical] = UrlMappingMatchInfo({}, route)
            match.add_app(app)
            match.freeze()
            around[route.resource.canonical] = Around(app[IN_FLIGHT], route.resource.canonical)

    def act(
        request: web.Request, _request_id: str, facts: dict[str, object]
    ) -> Awaitable[WholeAnswer]:
        return exchange(request, service, facts)

    def answer_shortly(given: Any) -> Awaitable[web.StreamResponse]:  # noqa: ANN401 - a web.Request
        match = matches.get(given.raw_path)
        if match is None or given.method != hdrs.METH_POST or hdrs.EXPECT in given.headers:
            return answer(given)
        given._match_info = match  # noqa: SLF001 - aiohttp offers no other way
        return around[given.raw_path].answer(given, act)

    return answer_shortly
