"""Operations and dashboard on a port of their own: a firewall can keep others away from it.

The public port answers only what is for everybody, or for everybody who holds an API key. The
same process serves both ports, with one service behind them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import web

from tokensvc.operations.table import OPERATIONS
from tokensvc.web.app_keys import IN_FLIGHT, POLLS, REFUSALS, SERVICE, TURNS
from tokensvc.web.dashboard.pages import add_dashboard
from tokensvc.web.forms import MAX_BODY
from tokensvc.web.health import get_livez, get_readyz
from tokensvc.web.middleware import handle_errors
from tokensvc.web.operations.routes import add_operations
from tokensvc.web.reference import Reference
from tokensvc.web.root import build_root

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.web.protocol import Server


def build_admin_app(main: web.Application) -> web.Application:
    """Return the application of that port, on the service of the main application, which is open.

    What is in work on either port counts together, so that a process waits for both at its end.
    """
    app = web.Application(middlewares=[handle_errors], client_max_size=MAX_BODY)
    app[IN_FLIGHT], app[TURNS] = main[IN_FLIGHT], main[TURNS]
    app[REFUSALS], app[SERVICE] = main[REFUSALS], main[SERVICE]
    app[POLLS] = main[POLLS]
    app.router.add_get("/livez", get_livez)
    app.router.add_get("/readyz", get_readyz)
    issuer_url = main[SERVICE].settings.issuer_url
    for prefix in dict.fromkeys(("", urlsplit(issuer_url).path)):
        # What is open is for strangers, whom a firewall keeps away from this port.
        wanted = (row for row in OPERATIONS.values() if not row.is_open)
        add_operations(app, prefix, wanted)
        Reference(issuer_url, prefix or "/").add_to(app, prefix)
        add_dashboard(app, prefix, issuer_url)
        app.router.add_get(f"{prefix}/", build_root(issuer_url, has_dashboard=True))
    return app


class AdminPort(web.BaseRunner):
    """Runs the server that `build_server` makes."""

    def __init__(self, build_server: Callable[[], Server], shutdown_timeout: float) -> None:
        super().__init__(shutdown_timeout=shutdown_timeout)
        self._build_server = build_server

    async def shutdown(self) -> None:
        """Nothing: the service was told when draining began."""

    async def _make_server(self) -> Server:
        return self._build_server()

    async def _cleanup_server(self) -> None:
        """Nothing: the application is closed by who opened it."""
