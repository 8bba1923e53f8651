"""The table of pages, and the routes that are made from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aiohttp import web

from tokensvc.web.app_keys import SERVICE
from tokensvc.web.dashboard import (
    account_acts,
    account_changes,
    accounts,
    audiences,
    audit,
    capabilities,
    decoder,
    deliveries,
    denylist,
    health,
    key,
    key_acts,
    key_endings,
    keys,
    new_key,
    overview,
    receivers,
    reference,
    signing_in,
    signing_keys,
    tiers,
)
from tokensvc.web.dashboard.handler import build_handler
from tokensvc.web.dashboard.page import ROOT, Page, View
from tokensvc.web.dashboard.static_files import get_static, load_assets

if TYPE_CHECKING:
    from tokensvc.web.dashboard.page import Visit

# Fixed paths stand before paths with braces.
GROUPS: Final = (
    signing_in, overview, new_key, keys, key, key_acts, key_endings, tiers, account_changes,
    accounts, account_acts, capabilities, audiences, signing_keys, denylist, health, audit,
    decoder, deliveries, receivers, reference,
)  # fmt: skip
PAGES: Final[tuple[Page, ...]] = tuple(page for group in GROUPS for page in group.PAGES)


async def _show_nothing(_visit: Visit) -> View:
    raise web.HTTPNotFound


_NOTHING: Final = Page(path="/{rest:.*}", act=_show_nothing)


def add_dashboard(app: web.Application, prefix: str, issuer_url: str) -> None:
    """Serve the dashboard below `prefix`. Its links begin with the path of the issuer."""
    load_assets()  # at the start, not by the first request
    base = urlsplit(issuer_url).path + ROOT
    root = prefix + ROOT
    app.router.add_get(root, _go_to_overview)
    app.router.add_get(f"{root}/static/{{name:.+}}", get_static)
    for page in (*PAGES, _NOTHING):
        handler = build_handler(page, PAGES, base)
        if page.method == "GET":
            app.router.add_get(f"{root}{page.path}", handler)
        else:
            app.router.add_post(f"{root}{page.path}", handler)


async def _go_to_overview(request: web.Request) -> web.Response:
    base = urlsplit(request.app[SERVICE].settings.issuer_url).path + ROOT
    return web.Response(status=303, headers={"Location": f"{base}/"})
