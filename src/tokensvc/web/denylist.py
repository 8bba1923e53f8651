"""`GET /v1/denylist`: the feed of revocations, as signed pages, by long poll."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aiohttp import web

from tokensvc.core.denylist.position import parse_cursor
from tokensvc.core.errors import InvalidRequestError
from tokensvc.core.follower import FollowerId, parse_follower_name
from tokensvc.web.app_keys import CALLER, SERVICE
from tokensvc.web.callers import authenticate_follower
from tokensvc.web.cors import ANY_ORIGIN

if TYPE_CHECKING:
    from tokensvc.core.denylist.position import Position

MEDIA_TYPE: Final = "application/denylist+jwt"
_WAIT: Final = re.compile(r"[0-9]{1,2}", re.ASCII)


async def get_denylist(request: web.Request) -> web.Response:
    """Answer the page after a cursor, waiting for news if asked to.

    Without a cursor the answer is everything in force.
    """
    service = request.app[SERVICE]
    headers = {"Cache-Control": "no-store", **ANY_ORIGIN}  # docs/decisions/0013 says why
    # On an open feed a token is optional. But one that is shown must be good: its sender relies on
    # being known, and must learn that it is not.
    if service.settings.feed_authentication == "required" or "Authorization" in request.headers:
        await authenticate_follower(request)
    headers["Vary"] = "Authorization"
    after = request.query.get("after")
    wait = _parse_wait(request.query.get("wait", "0"), service.settings.feed_max_wait)
    position = None if after is None else parse_cursor(after)
    if position is not None:
        _note_receipt(request, position)
    page = await service.feed.next_page(position, wait=wait)
    return web.Response(text=page, content_type=MEDIA_TYPE, headers=headers)


def _note_receipt(request: web.Request, position: Position) -> None:
    """Note what a follower has applied, if it gives its name."""
    if "follower" in request.query:
        request.app[SERVICE].receipts.note(_read_follower(request), position)


async def delete_follower(request: web.Request) -> web.Response:
    """Forget a follower that stops following. Without a token, only one that proved nothing."""
    service = request.app[SERVICE]
    if service.settings.feed_authentication == "required" or "Authorization" in request.headers:
        await authenticate_follower(request)
    service.receipts.note_goodbye(_read_follower(request))
    return web.Response(status=204, headers={"Cache-Control": "no-store"})


def _read_follower(request: web.Request) -> FollowerId:
    """Return who sends the request: by its token, if it shows one, and by the name it gives."""
    name = parse_follower_name(request.query.get("follower", ""))
    return FollowerId(request.get(CALLER, ""), name)


def _parse_wait(text: str, longest: int) -> int:
    """Return how many seconds to wait for news."""
    if not _WAIT.fullmatch(text) or int(text) > longest:
        raise InvalidRequestError(f"wait must be a whole number of seconds, {longest} at most")
    return int(text)
