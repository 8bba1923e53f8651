"""`GET /v1/denylist`: the feed of revocations, as signed pages, by long poll."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from aiohttp import web

from tokensvc.core.denylist.position import parse_cursor
from tokensvc.core.errors import InvalidRequestError
from tokensvc.core.follower import FollowerId, parse_follower_name
from tokensvc.web.app_keys import CALLER, POLLS, SERVICE, WOKEN
from tokensvc.web.client_address import find_network
from tokensvc.web.client_authentication import authenticate_follower
from tokensvc.web.cors import ANY_ORIGIN
from tokensvc.web.protocol import cancelled_when_gone

if TYPE_CHECKING:
    from tokensvc.core.denylist.position import Position
    from tokensvc.issuer.revoking.feed import SignedPage

MEDIA_TYPE: Final = "application/denylist+jwt"
# `gzip` among the codings, unless its weight is zero (RFC 9110 section 12.5.3).
_GZIP: Final = re.compile(r"(?i)(?:^|[\s,])gzip\s*(?:$|,|;\s*q=(?!0(?:\.0*)?\s*(?:$|,)))")
_WAIT: Final = re.compile(r"[0-9]{1,2}", re.ASCII)


async def get_denylist(request: web.Request) -> web.Response:
    """Answer the page after a cursor, waiting for news if asked to.

    Without a cursor the answer is the first page of everything in force.
    """
    service = request.app[SERVICE]
    # Why no cache may keep it: docs/decisions/0013.
    headers = {"Cache-Control": "no-store", **ANY_ORIGIN}
    await authenticate_follower(request)
    headers["Vary"] = "Accept-Encoding, Authorization"
    after = request.query.get("after")
    wait = _parse_wait(request.query.get("wait", "0"), service.settings.feed_max_wait)
    position = None if after is None else parse_cursor(after)
    if position is not None:
        _note_receipt(request, position)
    # Whoever has nothing yet gets the beginning at once: it does not wait for news.
    if not wait or position is None:
        page = await service.feed.next_page(position, wait=0)
    else:
        network = find_network(request, service.settings.trusted_proxy_hops)
        # A follower that hangs up must not keep the place of another one.
        with cancelled_when_gone(request), request.app[POLLS].hold(network, wait) as seconds:
            page = await service.feed.next_page(position, wait=seconds)
            await request.app[WOKEN].take()  # a revocation wakes all polls at once
    return await _build_response(request, page, headers)


async def _build_response(
    request: web.Request, page: SignedPage, headers: dict[str, str]
) -> web.Response:
    """Return a page as the follower can read it: compressed, or not."""
    body = page.body
    if page.is_zipped and _GZIP.search(request.headers.get("Accept-Encoding", "")):
        headers["Content-Encoding"] = "gzip"
    elif page.is_zipped:
        # It is unpacked in a thread, because a long page would hold up everybody else.
        body = await asyncio.to_thread(page.unzip)
    headers["Content-Type"] = f"{MEDIA_TYPE}; charset=utf-8"
    return web.Response(body=body, headers=headers)


def _note_receipt(request: web.Request, position: Position) -> None:
    """Note what a follower has applied, if it gives its name."""
    if "follower" in request.query:
        request.app[SERVICE].receipts.note(_read_follower(request), position)


async def delete_follower(request: web.Request) -> web.Response:
    """Forget a follower that stops following. Without a token, only one that proved nothing."""
    await authenticate_follower(request)
    request.app[SERVICE].receipts.note_goodbye(_read_follower(request))
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
