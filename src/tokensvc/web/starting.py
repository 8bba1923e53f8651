"""What is answered while the service is not open yet: the process lives, and no more."""

from __future__ import annotations

from typing import NoReturn

from aiohttp import web

from tokensvc.core.errors import UnavailableError
from tokensvc.web.app_keys import IN_FLIGHT
from tokensvc.web.forms import MAX_BODY
from tokensvc.web.health import NO_STORE, get_livez
from tokensvc.web.in_flight import InFlight
from tokensvc.web.metrics import get_metrics
from tokensvc.web.middleware import handle_errors


def build_starting_app() -> web.Application:
    """Return the application that answers until the service is open."""
    # One size for both applications: a request may be made by this one and answered by the other.
    app = web.Application(middlewares=[handle_errors], client_max_size=MAX_BODY)
    app[IN_FLIGHT] = InFlight()
    app.router.add_get("/livez", get_livez)
    app.router.add_get("/readyz", _get_readyz)
    app.router.add_get("/metrics", get_metrics)
    app.router.add_route("*", "/{path:.*}", _refuse)
    return app


async def _get_readyz(_request: web.Request) -> web.Response:
    body = {"status": "not ready", "checks": {"serving": False}}
    return web.json_response(body, status=503, headers={**NO_STORE, "Retry-After": "1"})


async def _refuse(_request: web.Request) -> NoReturn:
    raise UnavailableError("the service is starting; try again", reason="starting")
