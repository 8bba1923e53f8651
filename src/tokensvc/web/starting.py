"""What is answered while the service is not open yet: the process lives, and no more."""

from __future__ import annotations

from typing import NoReturn

from aiohttp import web

from tokensvc.core.errors import UnavailableError
from tokensvc.web.app_keys import IN_FLIGHT, TURNS
from tokensvc.web.forms import MAX_BODY
from tokensvc.web.health import PROBE_HEADERS, get_livez
from tokensvc.web.in_flight import InFlight
from tokensvc.web.metrics_page import add_metrics
from tokensvc.web.middleware import handle_errors
from tokensvc.web.turns import Turns


def build_starting_app(*, has_metrics: bool = True) -> web.Application:
    """Return the application that answers until the service is open.

    `has_metrics`: unless they have a port of their own.
    """
    # One size for both applications: a request may be made by this one and answered by the other.
    app = web.Application(middlewares=[handle_errors], client_max_size=MAX_BODY)
    app[IN_FLIGHT] = InFlight()
    app[TURNS] = Turns()
    app.router.add_get("/livez", get_livez)
    app.router.add_get("/readyz", _get_readyz)
    if has_metrics:
        add_metrics(app)
    app.router.add_route("*", "/{path:.*}", _refuse)
    return app


async def _get_readyz(_request: web.Request) -> web.Response:
    body = {"status": "not ready", "checks": {"serving": False}}
    return web.json_response(body, status=503, headers={**PROBE_HEADERS, "Retry-After": "1"})


async def _refuse(_request: web.Request) -> NoReturn:
    raise UnavailableError("the service is starting; try again", reason="starting")
