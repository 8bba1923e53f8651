"""A service with aiohttp: orders are for those whose token has the capability `orders:read`.

    ISSUER=http://127.0.0.1:8080 AUDIENCE=api PORT=9000 python examples/python/aiohttp_service.py

A revoked token is refused within a second. The log says why a request was refused.
"""

from __future__ import annotations

import logging
import os

from aiohttp import web

from tokensvc.verify import Verifier
from tokensvc.verify.aiohttp import CLAIMS, auth_middleware, follow, requires


@requires("orders:read")
async def list_orders(request: web.Request) -> web.Response:
    """Answer whose orders these are."""
    return web.json_response({"for": request[CLAIMS].sub})


def build_app(verifier: Verifier) -> web.Application:
    """Return the application. A test gives it the verifier of a `FakeIssuer`."""
    app = web.Application(middlewares=[auth_middleware(verifier)])
    app.cleanup_ctx.append(follow(verifier))
    app.router.add_get("/orders", list_orders)
    return app


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    web.run_app(
        build_app(Verifier(issuer=os.environ["ISSUER"], audience=os.environ["AUDIENCE"])),
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
    )
