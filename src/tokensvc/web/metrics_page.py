"""`GET /metrics` for Prometheus: the sums of all workers, whichever of them answers.

To build the page costs as much as many exchanges. So it is built in a thread, at most once a second
for each of its two forms, and all who ask meanwhile share it.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Final

from aiohttp import web
from prometheus_client import REGISTRY, CollectorRegistry, exposition
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics import exposition as openmetrics

if TYPE_CHECKING:
    from collections.abc import Callable

# prometheus_client's own name; it must be set before that is imported.
FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
OPENMETRICS: Final = "application/openmetrics-text"


class MetricsPage:
    """One form of the page. `build` runs in a thread; its result is good for `every` seconds.

    `clock`: monotonic, in seconds.
    """

    def __init__(
        self,
        build: Callable[[], bytes],
        *,
        every: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._build = build
        self._every = every
        self._clock = clock
        self._body = b""
        self._stale_on = float("-inf")
        self._work: asyncio.Task[None] | None = None

    async def read(self) -> bytes:
        """Return the page; who comes while it is being built gets that one."""
        if self._work is None and self._clock() >= self._stale_on:
            self._work = asyncio.create_task(self._renew())
        if self._work is not None:
            await asyncio.shield(self._work)  # others wait for it too
        return self._body

    async def _renew(self) -> None:
        self._stale_on = self._clock() + self._every
        try:
            self._body = await asyncio.to_thread(self._build)
        except BaseException:
            self._stale_on = float("-inf")
            raise
        finally:
            self._work = None


class Metrics:
    """Both forms: OpenMetrics 1.0.0 for those who accept it, and the text format for all others."""

    def __init__(self) -> None:
        self._text = MetricsPage(_build_text)
        self._openmetrics = MetricsPage(_build_openmetrics)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer everything that is counted."""
        accepted = ",".join(request.headers.getall("Accept", []))
        page, content_type = self._text, exposition.CONTENT_TYPE_PLAIN_0_0_4
        if accepts_openmetrics(accepted):
            page, content_type = self._openmetrics, openmetrics.CONTENT_TYPE_LATEST
        headers = {"Content-Type": content_type, "Cache-Control": "no-store", "Vary": "Accept"}
        return web.Response(body=await page.read(), headers=headers)


def accepts_openmetrics(accepted: str) -> bool:
    """Tell whether an `Accept` header names OpenMetrics, in a version that is not below 1.0.0."""
    for item in accepted.split(","):
        media_type, *parameters = (part.strip().lower() for part in item.split(";"))
        named = dict(part.partition("=")[::2] for part in parameters)
        # A weight of 0, however it is written (0.0, 0.000), means "not this one" (RFC 9110 12.4.2).
        if media_type == OPENMETRICS and named.get("q", "1").strip("0.") != "":
            return not named.get("version", "1.0.0").startswith("0.")
    return False


def add_metrics(app: web.Application) -> None:
    """Serve `/metrics` beside what the application serves."""
    app.router.add_get("/metrics", Metrics().answer)


def build_metrics_app() -> web.Application:
    """Return the application of a port that serves nothing else; every worker has one."""
    app = web.Application()
    add_metrics(app)
    return app


def _find_registry() -> CollectorRegistry:
    if FOLDER not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def _build_text() -> bytes:
    return exposition.generate_latest(_find_registry())


def _build_openmetrics() -> bytes:
    page: bytes = openmetrics.generate_latest(_find_registry())  # type: ignore[no-untyped-call]
    return page
