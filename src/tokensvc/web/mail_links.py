"""The pages behind the links in a mail: each shows a button, and the button does it.

Programs open links in mails as well, so to open a page changes nothing. Mail programs that offer
to unsubscribe send the same request as the button (RFC 8058).
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from aiohttp import web

from tokensvc.core.notices.destination import find_mail_address
from tokensvc.core.notices.mail_link import parse_code
from tokensvc.issuer.notices.mail_links import find_mailbox, follow_link
from tokensvc.web.app_keys import SERVICE

if TYPE_CHECKING:
    from tokensvc.core.notices.endpoint import Endpoint
    from tokensvc.core.notices.mail_link import Purpose

_STYLE: Final = (
    "body{max-width:36rem;margin:3rem auto;padding:0 1rem;font:1rem/1.5 system-ui,sans-serif;"
    "overflow-wrap:anywhere}button{font:inherit;padding:.5rem 1rem;cursor:pointer}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# The address of these pages holds the code, which no other page and no cache may learn. They need
# no script, and load nothing.
_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """What is said about a link of one purpose. `{address}` is that of the mailbox."""

    title: str
    question: str
    button: str
    done_title: str
    done: str
    over: str


_PAGES: Final[dict[Purpose, _Page]] = {
    "confirm": _Page(
        title="Confirm your address",
        question="Notices about API keys will be sent to <b>{address}</b>.",
        button="Confirm",
        done_title="Confirmed",
        done="Notices are sent to <b>{address}</b>.",
        over="This link is not good, or its seven days are over. Ask whoever manages your API keys "
        "to send you another one.",
    ),
    "unsubscribe": _Page(
        title="End these notices",
        question="No more notices about API keys will be sent to <b>{address}</b>.",
        button="Unsubscribe",
        done_title="Unsubscribed",
        done="No more notices are sent to <b>{address}</b>. "
        "Whoever manages the API keys sees that.",
        over="This link is not good any more. Open the link in a newer mail.",
    ),
}


async def get_confirmation(request: web.Request) -> web.Response:
    """Show what is to be confirmed."""
    return await _ask(request, "confirm")


async def post_confirmation(request: web.Request) -> web.Response:
    """Confirm a mailbox."""
    return await _follow(request, "confirm")


async def get_unsubscription(request: web.Request) -> web.Response:
    """Show what is to be ended."""
    return await _ask(request, "unsubscribe")


async def post_unsubscription(request: web.Request) -> web.Response:
    """Send no more notices to a mailbox. The body says nothing that the link does not."""
    return await _follow(request, "unsubscribe")


async def _ask(request: web.Request, purpose: Purpose) -> web.Response:
    page, text = _PAGES[purpose], request.query.get("code", "")
    endpoint = await _find(request, purpose, does_it=False)
    if endpoint is None:
        return _answer("Link not good", page.over, status=HTTPStatus.NOT_FOUND)
    if _is_done(endpoint, purpose):
        return _answer(f"Already {page.done_title.lower()}", _fill(page.done, endpoint))
    return _answer(
        page.title,
        _fill(page.question, endpoint),
        f'<form method="post" action="{purpose}?code={escape(text)}">'
        f"<button>{page.button}</button></form>"
        "<p>If you do not know what this is about, close this page.</p>",
    )


async def _follow(request: web.Request, purpose: Purpose) -> web.Response:
    page = _PAGES[purpose]
    endpoint = await _find(request, purpose, does_it=True)
    if endpoint is None:
        return _answer("Link not good", page.over, status=HTTPStatus.NOT_FOUND)
    return _answer(page.done_title, _fill(page.done, endpoint))


async def _find(request: web.Request, purpose: Purpose, *, does_it: bool) -> Endpoint | None:
    code = parse_code(request.query.get("code", ""))
    if code is None:
        return None
    service = request.app[SERVICE]
    act = follow_link if does_it else find_mailbox
    return await act(service.database, code, purpose, service.mirror.signers.master_key)


def _is_done(endpoint: Endpoint, purpose: Purpose) -> bool:
    if purpose == "confirm":
        return endpoint.confirmed_at is not None
    return endpoint.disabled_because == "unsubscribed"


def _fill(text: str, endpoint: Endpoint) -> str:
    return text.format(address=escape(find_mail_address(endpoint.url) or endpoint.url))


def _answer(title: str, said: str, more: str = "", status: int = HTTPStatus.OK) -> web.Response:
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{title}</h1><p>{said}</p>{more}</main></body></html>\n"
    )
    return web.Response(text=page, status=status, content_type="text/html", headers=_HEADERS)
