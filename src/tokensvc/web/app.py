"""The aiohttp application: which path calls which handler."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

from tokensvc.issuer.service import open_service
from tokensvc.operations.table import OPERATIONS
from tokensvc.web.app_keys import IN_FLIGHT, POLLS, REFUSALS, SERVICE, STRANGERS, TURNS, WOKEN
from tokensvc.web.audit_heads import get_audit_head
from tokensvc.web.connections import find_most_connections
from tokensvc.web.cors import answer_preflight
from tokensvc.web.dashboard.pages import add_dashboard
from tokensvc.web.denylist import delete_follower, get_denylist
from tokensvc.web.forms import MAX_BODY
from tokensvc.web.health import get_livez, get_readyz
from tokensvc.web.in_flight import InFlight
from tokensvc.web.introspect import post_introspect
from tokensvc.web.late_refusals import LateRefusals
from tokensvc.web.limit_log import LimitLog
from tokensvc.web.mail_links import (
    get_confirmation,
    get_unsubscription,
    post_confirmation,
    post_unsubscription,
)
from tokensvc.web.metrics_page import add_metrics
from tokensvc.web.middleware import handle_errors
from tokensvc.web.operations.routes import add_operations
from tokensvc.web.operations.strangers import Strangers
from tokensvc.web.polls import Polls
from tokensvc.web.reference import Reference
from tokensvc.web.revoke import post_revoke
from tokensvc.web.root import build_root
from tokensvc.web.token import post_token
from tokensvc.web.turns import Turns
from tokensvc.web.well_known import get_jwks, get_metadata

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.typedefs import Handler

    from tokensvc.settings import Settings


def build_app(
    settings: Settings, database_url: str, limited: LimitLog | None = None
) -> web.Application:
    """Return the application; it opens its service on startup and closes it on cleanup.

    `limited`: where polls that are not held back are noted.
    """

    async def hold_service(app: web.Application) -> AsyncIterator[None]:
        async with open_service(settings, database_url) as service:
            app[SERVICE] = service
            yield

    app = web.Application(middlewares=[handle_errors], client_max_size=MAX_BODY)
    app[IN_FLIGHT] = InFlight()
    _add_limits(app, settings, limited or LimitLog())
    app.cleanup_ctx.append(hold_service)
    app.on_shutdown.append(_drain)
    _add_health(app, has_metrics=settings.metrics_port is None)
    reference = Reference(settings.issuer_url)
    root = build_root(settings.issuer_url, has_dashboard=settings.admin_port is None)
    # A proxy may or may not strip the path of the issuer.
    for prefix in dict.fromkeys(("", urlsplit(settings.issuer_url).path)):
        _add_routes(app, prefix)
        app.router.add_get(f"{prefix}/", root)
        if settings.admin_port is None:
            add_operations(app, prefix, OPERATIONS.values())
            reference.add_to(app, prefix)
            add_dashboard(app, prefix, settings.issuer_url)
        else:
            add_operations(app, prefix, (row for row in OPERATIONS.values() if row.is_public))
    return app


def _add_limits(app: web.Application, settings: Settings, limited: LimitLog) -> None:
    """Add what keeps floods away from exchanges."""
    # Two requests of those that anybody may send are answered in a millisecond, and one poll that a
    # revocation has woken in each round of the event loop. Exchanges find the rest of the time free
    # (decision 0028).
    app[TURNS], app[WOKEN] = Turns(at_once=2, pause=0.001), Turns()
    app[POLLS] = Polls(
        limited,
        # Half of the connections are left for those who want an answer at once.
        most=min(settings.feed_polls, find_most_connections(settings.pool_size) // 2),
        most_of_network=settings.feed_polls_per_network,
    )
    app[REFUSALS] = LateRefusals(allowed=settings.refusals_per_minute)
    app[STRANGERS] = Strangers(allowed=settings.leak_reports_per_minute)


def _add_health(app: web.Application, *, has_metrics: bool) -> None:
    app.router.add_get("/livez", get_livez)
    app.router.add_get("/readyz", get_readyz)
    if has_metrics:
        add_metrics(app)


def _add_routes(app: web.Application, prefix: str) -> None:
    """Add what clients and relying parties call, below `prefix`."""
    app.router.add_post(f"{prefix}/v1/token", post_token)
    app.router.add_post(f"{prefix}/v1/revoke", post_revoke)
    app.router.add_post(f"{prefix}/v1/introspect", post_introspect)
    _add_public(app, f"{prefix}/v1/denylist", get_denylist)
    app.router.add_delete(f"{prefix}/v1/denylist", delete_follower)
    _add_public(app, f"{prefix}/v1/audit-heads", get_audit_head)
    _add_public(app, f"{prefix}/.well-known/jwks.json", get_jwks)
    _add_public(app, f"{prefix}/.well-known/openid-configuration", get_metadata)
    app.router.add_get(f"{prefix}/notices/confirm", get_confirmation)
    app.router.add_post(f"{prefix}/notices/confirm", post_confirmation)
    app.router.add_get(f"{prefix}/notices/unsubscribe", get_unsubscription)
    app.router.add_post(f"{prefix}/notices/unsubscribe", post_unsubscription)
    # RFC 8414 section 3 puts the path of the issuer behind.
    _add_public(app, f"/.well-known/oauth-authorization-server{prefix}", get_metadata)


def _add_public(app: web.Application, path: str, handler: Handler) -> None:
    """Add what scripts of other origins may also get."""
    app.router.add_get(path, handler)
    app.router.add_route("OPTIONS", path, answer_preflight)


async def _drain(app: web.Application) -> None:
    app[SERVICE].drain()
