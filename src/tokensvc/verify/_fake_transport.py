"""How verifiers reach a `FakeIssuer`: within the process, or by HTTP on loopback."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Self

from aiohttp import web

from tokensvc.verify._fetch import FetchError, JwksAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tokensvc.verify._fake_publisher import FakePublisher

_MOST_WAIT: Final = 30.0


class InMemoryFetcher:
    """Replaces `Fetcher`. It does not wait for news: the issuer itself informs its verifiers."""

    def __init__(self, publisher: FakePublisher) -> None:
        self._publisher = publisher

    async def __aenter__(self) -> Self:
        """Open nothing."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close nothing."""

    async def fetch_jwks(self, url: str, etag: str | None) -> JwksAnswer:
        """Return the JWKS."""
        del url, etag
        return self._publisher.answer_jwks()

    async def fetch_page(self, url: str, after: str | None, wait: int) -> str:
        """Return a page after the wait. Raises FetchError while the issuer is silent."""
        del url
        await asyncio.sleep(wait)
        if self._publisher.is_stale:
            raise FetchError("the issuer cannot be reached: it was told to be silent")
        return self._publisher.page(after)

    async def fetch_audit_head(self, url: str, number: int) -> str:
        """Return the answer about the audit trail."""
        del url, number
        return self._publisher.audit_head()


@asynccontextmanager
async def serve(publisher: FakePublisher) -> AsyncIterator[str]:
    """Serve on a free port of loopback, and yield the address."""
    server = _Server(publisher)
    app = web.Application()
    app.router.add_get("/.well-known/jwks.json", server.get_jwks)
    app.router.add_get("/.well-known/oauth-authorization-server", server.get_metadata)
    app.router.add_get("/.well-known/openid-configuration", server.get_metadata)
    app.router.add_get("/v1/denylist", server.get_denylist)
    app.router.add_get("/v1/audit-heads", server.get_audit_head)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    publisher.listeners.append(server.wake)
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        publisher.listeners.remove(server.wake)
        # First, or the cleanup would wait for polls that wait for news.
        server.end()
        await runner.cleanup()


class _Server:
    def __init__(self, publisher: FakePublisher) -> None:
        self._publisher = publisher
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._is_ending = False

    def wake(self) -> None:
        """End all long polls because there is news. May be called from any thread."""
        self._loop.call_soon_threadsafe(self._end_polls)

    def end(self) -> None:
        """End all long polls, and begin no more."""
        self._is_ending = True
        self._end_polls()

    async def get_jwks(self, request: web.Request) -> web.Response:
        """Answer the JWKS, or that it has not changed."""
        document = self._publisher.jwks
        etag = f'"{hashlib.sha256(document).hexdigest()}"'
        headers = {"ETag": etag, "Cache-Control": f"public, max-age={self._publisher.max_age:.0f}"}
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=document, content_type="application/json", headers=headers)

    async def get_metadata(self, request: web.Request) -> web.Response:
        """Answer where the keys are (RFC 8414)."""
        return web.json_response(
            {
                "issuer": self._publisher.issuer,
                "jwks_uri": f"{request.url.origin()}/.well-known/jwks.json",
            }
        )

    async def get_denylist(self, request: web.Request) -> web.Response:
        """Answer the page after a cursor. If there is none yet, wait for news."""
        after = request.query.get("after")
        if after is not None and after == str(self._publisher.log.head) and not self._is_silent:
            wait = min(_MOST_WAIT, float(request.query.get("wait", "0")))
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                pass
        if self._is_silent:
            return web.Response(status=503, headers={"Retry-After": "5"})
        return web.Response(
            text=self._publisher.page(after),
            content_type="application/denylist+jwt",
            headers={"Cache-Control": "no-store"},
        )

    async def get_audit_head(self, request: web.Request) -> web.Response:
        """Answer what the audit trail holds."""
        del request
        text = self._publisher.audit_head()
        return web.Response(text=text, content_type="application/audit-head+jwt")

    @property
    def _is_silent(self) -> bool:
        return self._publisher.is_stale or self._is_ending

    def _end_polls(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
