"""`GET /metrics` for Prometheus: the sums of all workers, whichever of them answers."""

from __future__ import annotations

import os

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

# prometheus_client's own name; it must be set before that is imported.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"


async def get_metrics(_request: web.Request) -> web.Response:
    """Answer everything that is counted."""
    registry = REGISTRY
    if FOLDER in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    headers = {"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"}
    return web.Response(body=generate_latest(registry), headers=headers)
