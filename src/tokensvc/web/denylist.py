"""`GET /v1/denylist`: the feed of revocations, as signed pages, by long poll."""

from __future__ import annotations

import re

from aiohttp import web

from tokensvc.core.denylist.position import parse_cursor
from tokensvc.core.errors import InvalidRequestError
from tokensvc.core.follower import parse_follower_name
from tokensvc.web.app_keys import CALLER, SERVICE
from tokensvc.web.callers import authenticate_follower
from tokensvc.web.cors import ANY_ORIGIN

MEDIA_TYPE = "application/denylist+jwt"
_WAIT = re.compile(r"[0-9]{1,2}", re.ASCII)


async def get_denylist(request: web.Request) -> web.Response:
    """Answer the page after a cursor, waiting for news if asked to; without a cursor everything in force."""
    service = request.app[SERVICE]
    key_id = None
    headers = {"Cache-Control": "no-store", **ANY_ORIGIN}  # why not to be kept: docs/decisions/0013
    if service.settings.feed_authentication == "required":
        await authenticate_follower(request)
        key_id = request[CALLER]
        headers["Vary"] = "Authorization"
    after = request.query.get("after")
    wait = _parse_wait(request.query.get("wait", "0"), service.settings.feed_max_wait)
    position = None if after is None else parse_cursor(after)
    if "follower" in request.query and position is not None:
        name = parse_follower_name(request.query["follower"])
        service.receipts.note(
            name if key_id is None else f"{key_id}/{name}",
            position,
            authenticated=key_id is not None,
        )
    page = await service.feed.next_page(position, wait=wait)
    return web.Response(text=page, content_type=MEDIA_TYPE, headers=headers)


def _parse_wait(text: str, most: int) -> int:
    if not _WAIT.fullmatch(text) or int(text) > most:
        raise InvalidRequestError(f"wait must be a whole number of seconds, {most} at most")
    return int(text)
