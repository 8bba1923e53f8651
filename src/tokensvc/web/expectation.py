"""The header `Expect` (RFC 9110 section 10.1.1). aiohttp would refuse a wrong one by itself.

Its answer would not be one of ours, name aiohttp and its version, and leave no line in the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn, cast

from aiohttp import HttpVersion11, hdrs, web

from tokensvc.web.middleware import handle_errors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_CONTINUE: Final = "100-continue"


async def answer_expecting(
    app: web.Application, answer: Answer, given: web.BaseRequest
) -> web.StreamResponse:
    """Answer a request with an `Expect` as `answer` does, or refuse what it expects."""
    expected = given.headers[hdrs.EXPECT].strip().lower()
    if expected == _CONTINUE or given.version < HttpVersion11:  # of HTTP/1.0 it means nothing
        return await answer(given)
    request = cast("web.Request", given)
    match = await app.router.resolve(request)
    match.add_app(app)
    match.freeze()
    request._match_info = match  # noqa: SLF001 - aiohttp offers no other way
    response = await handle_errors(request, _refuse)
    response.force_close()  # the body of the request may still come
    return response


async def _refuse(_request: web.Request) -> NoReturn:
    raise web.HTTPExpectationFailed(text=f"Expect may only be {_CONTINUE}")
