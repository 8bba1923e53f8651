"""A shared caching proxy as RFC 9111 wants it.

It keeps whatever it may keep, and only passes on what it may not.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from multidict import CIMultiDict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

_HEURISTIC = 60.0  # what says nothing about caching is kept for as long (section 4.2.2)
_HOP = {"Connection", "Transfer-Encoding", "Content-Length", "Host"}


@dataclass
class Kept:
    """One stored answer, with the request headers that select it (section 4.1)."""

    headers: CIMultiDict[str]
    body: bytes
    selectors: dict[str, str | None]
    life: float
    since: float = field(default_factory=time.monotonic)

    @property
    def age(self) -> float:
        return time.monotonic() - self.since

    def fits(self, headers: Mapping[str, str]) -> bool:
        return all(headers.get(name) == value for name, value in self.selectors.items())


class CachingProxy:
    """Stands before `origin`. Without `obeys` it keeps every page, whatever its headers say."""

    def __init__(self, origin: str, session: aiohttp.ClientSession, *, obeys: bool = True) -> None:
        self._origin = origin
        self._session = session
        self._obeys = obeys
        self._kept: dict[str, list[Kept]] = {}
        self.url = ""
        self.from_origin: Counter[str] = Counter()
        self.from_cache: Counter[str] = Counter()
        self.revalidated: Counter[str] = Counter()

    async def handle(self, request: web.Request) -> web.Response:
        """Answer from the store, or from the origin."""
        path = request.path_qs
        kept = next((kept for kept in self._kept.get(path, []) if kept.fits(request.headers)), None)
        if kept is not None and kept.age < kept.life:
            self.from_cache[request.path] += 1
            return web.Response(
                body=kept.body, headers=CIMultiDict(kept.headers, Age=str(int(kept.age)))
            )
        passed = {name: value for name, value in request.headers.items() if name not in _HOP}
        if kept is not None and "ETag" in kept.headers:
            passed["If-None-Match"] = kept.headers["ETag"]
        self.from_origin[request.path] += 1
        async with self._session.request(
            request.method, self._origin + path, headers=passed
        ) as answer:
            headers = CIMultiDict(
                (name, value) for name, value in answer.headers.items() if name not in _HOP
            )
            if answer.status == 304 and kept is not None:
                self.revalidated[request.path] += 1
                kept.since = time.monotonic()
                kept.headers.update(headers)
                return web.Response(body=kept.body, headers=kept.headers)
            body = await answer.read()
            if answer.status == 200:
                self._keep(path, request.headers, headers, body)
            return web.Response(status=answer.status, body=body, headers=headers)

    def _keep(
        self, path: str, asked: Mapping[str, str], headers: CIMultiDict[str], body: bytes
    ) -> None:
        life = _life(headers, authorized="Authorization" in asked) if self._obeys else float("inf")
        if life is None:
            return
        selectors = {
            name.strip(): asked.get(name.strip())
            for name in headers.get("Vary", "").split(",")
            if name.strip()
        }
        self._kept.setdefault(path, []).append(Kept(headers, body, selectors, life))


def _life(headers: Mapping[str, str], *, authorized: bool) -> float | None:
    """Return for how long a shared cache may serve an answer, None if it must not keep it.

    RFC 9111 section 3.
    """
    directives = {
        part.strip().partition("=")[0].lower(): part.partition("=")[2]
        for part in headers.get("Cache-Control", "").split(",")
    }
    if "no-store" in directives or "private" in directives or headers.get("Vary") == "*":
        return None
    if authorized and not {"public", "must-revalidate", "s-maxage"} & set(directives):
        return None  # section 3.5
    if "no-cache" in directives:
        return 0.0
    return float(directives.get("s-maxage") or directives.get("max-age") or _HEURISTIC)


@asynccontextmanager
async def caching_proxy(origin: str, **options: Any) -> AsyncIterator[CachingProxy]:
    """Run one on a free port of loopback."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        proxy = CachingProxy(origin, session, **options)
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        async with TestServer(app) as server:
            proxy.url = str(server.make_url("")).rstrip("/")
            yield proxy
