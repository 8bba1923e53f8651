"""The page behind the link in a mail: it shows a button, and the button confirms the mailbox.

Programs open links in mails as well, so to open the page changes nothing.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import TYPE_CHECKING, Final

from aiohttp import web

from tokensvc.core.notices.confirmation import parse_code
from tokensvc.core.notices.receiver import find_mailbox
from tokensvc.issuer.notices.confirming import confirm_endpoint, find_unconfirmed
from tokensvc.web.app_keys import SERVICE
from tokensvc.web.forms import read_form

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tokensvc.core.notices.confirmation import Code
    from tokensvc.core.notices.endpoint import Endpoint
    from tokensvc.core.sealing import MasterKey
    from tokensvc.issuer.database import Database

    Find = Callable[[Database, Code, MasterKey], Awaitable[Endpoint | None]]

_STYLE: Final = (
    "body{max-width:36rem;margin:3rem auto;padding:0 1rem;font:1rem/1.5 system-ui,sans-serif}"
    "button{font:inherit;padding:.5rem 1rem;cursor:pointer}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_OVER: Final = (
    "<p>This link is not good, or its seven days are over. Ask whoever manages your API keys to "
    "send you another one.</p>"
)


async def get_confirmation(request: web.Request) -> web.Response:
    """Show what is to be confirmed."""
    text = request.query.get("code", "")
    endpoint = await _find(request, text, find_unconfirmed)
    if endpoint is None:
        return _answer("Link not good", _OVER, status=404)
    if endpoint.confirmed_at is not None:
        return _answer("Already confirmed", "<p>Notices are sent to this address.</p>")
    return _answer(
        "Confirm your address",
        f"<p>Notices about API keys will be sent to <b>{_show(endpoint)}</b>.</p>"
        f'<form method="post" action="confirm"><input type="hidden" name="code" '
        f'value="{escape(text)}"><button>Confirm</button></form>'
        "<p>If you do not know what this is about, close this page.</p>",
    )


async def post_confirmation(request: web.Request) -> web.Response:
    """Confirm a mailbox."""
    form = await read_form(request)
    endpoint = await _find(request, form.get("code", ""), confirm_endpoint)
    if endpoint is None:
        return _answer("Link not good", _OVER, status=404)
    return _answer("Confirmed", f"<p>Notices are sent to <b>{_show(endpoint)}</b>.</p>")


async def _find(request: web.Request, text: str, find: Find) -> Endpoint | None:
    code = parse_code(text)
    if code is None:
        return None
    service = request.app[SERVICE]
    return await find(service.database, code, service.mirror.signers.master_key)


def _show(endpoint: Endpoint) -> str:
    return escape(find_mailbox(endpoint.url) or endpoint.url)


def _answer(title: str, content: str, status: int = 200) -> web.Response:
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{title}</h1>{content}</main></body></html>\n"
    )
    return web.Response(text=page, status=status, content_type="text/html", headers=_HEADERS)
