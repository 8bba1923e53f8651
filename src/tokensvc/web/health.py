"""`/livez`: the process runs. `/readyz`: traffic may be sent here."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from tokensvc.web.app_keys import SERVICE

PROBE_HEADERS: Final = {"Cache-Control": "no-store"}


async def get_livez(_request: web.Request) -> web.Response:
    """Answer 200. Postgres is not asked, because to restart this process would not mend it."""
    return web.json_response({"status": "alive"}, headers=PROBE_HEADERS)


async def get_readyz(request: web.Request) -> web.Response:
    """Answer 200 if every check holds, else 503; the body names each check, and any warnings."""
    service = request.app[SERVICE]
    checks, warnings = service.check_ready(), service.list_warnings()
    ready = all(checks.values())
    body: dict[str, object] = {"status": "ready" if ready else "not ready", "checks": checks}
    if warnings:
        body["warnings"] = warnings
    return web.json_response(body, status=200 if ready else 503, headers=PROBE_HEADERS)
