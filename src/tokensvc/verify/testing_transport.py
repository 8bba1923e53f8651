"""How verifiers reach a `FakeIssuer`: within the process, or over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Self

from aiohttp import web

from tokensvc.verify.fetch import FetchError, JwksAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tokensvc.verify.testing import FakeIssuer

_MOST_WAIT: Final = 30.0


class InMemory:
    """Stands where `Fetcher` does. News is not waited for here: the issuer itself tells its verifiers."""

    def __init__(self, issuer: FakeIssuer) -> None:
        self._issuer = issuer

    async def __aenter__(self) -> Self:
        """There is nothing to open."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """There is nothing to close."""

    async def fetch_jwks(self, url: str, etag: str | None) -> JwksAnswer:
        """Return the JWKS."""
        del url, etag
        return self._issuer.answer_jwks()

    async def fetch_page(self, url: str, after: str | None, wait: int) -> str:
        """Return everything when the wait is over, or refuse as a silent issuer does."""
        del url, after
        await asyncio.sleep(wait)
        if self._issuer.is_stale:
            raise FetchError("the issuer cannot be reached: it was told to be silent")
        return self._issuer.page()


@asynccontextmanager
async def serve(issuer: FakeIssuer, listeners: list[Callable[[], None]]) -> AsyncIterator[str]:
    """Serve an issuer on a free port; `listeners` are called, from any thread, when it has changed."""
    server = _Server(issuer)
    app = web.Application()
    app.router.add_get("/.well-known/jwks.json", server.get_jwks)
    app.router.add_get("/.well-known/oauth-authorization-server", server.get_metadata)
    app.router.add_get("/.well-known/openid-configuration", server.get_metadata)
    app.router.add_get("/v1/denylist", server.get_denylist)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    listeners.append(server.wake)
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        listeners.remove(server.wake)
        server.end()
        await runner.cleanup()


class _Server:
    def __init__(self, issuer: FakeIssuer) -> None:
        self._issuer = issuer
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._is_ending = False

    def wake(self) -> None:
        """Let everybody go who waits for news. For any thread."""
        self._loop.call_soon_threadsafe(self._let_go)

    def end(self) -> None:
        """Let everybody go, and wait for nothing any more."""
        self._is_ending = True
        self._let_go()

    def _let_go(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def get_jwks(self, request: web.Request) -> web.Response:
        """Answer the JWKS, or that it has not changed."""
        document = self._issuer.jwks
        etag = f'"{hashlib.sha256(document).hexdigest()}"'
        headers = {"ETag": etag, "Cache-Control": f"public, max-age={self._issuer.max_age:.0f}"}
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=document, content_type="application/json", headers=headers)

    async def get_metadata(self, request: web.Request) -> web.Response:
        """Answer where the keys are (RFC 8414)."""
        return web.json_response(
            {
                "issuer": self._issuer.issuer,
                "jwks_uri": f"{request.url.origin()}/.well-known/jwks.json",
            }
        )

    async def get_denylist(self, request: web.Request) -> web.Response:
        """Answer the page after a cursor, waiting for news."""
        after = request.query.get("after")
        if (
            after is not None
            and after == str(self._issuer.log.head)
            and not self._is_ending
            and not self._issuer.is_stale
        ):
            try:
                async with asyncio.timeout(min(_MOST_WAIT, float(request.query.get("wait", "0")))):
                    await self._changed.wait()
            except TimeoutError:
                pass
        if self._issuer.is_stale or self._is_ending:
            return web.Response(status=503, headers={"Retry-After": "5"})
        return web.Response(
            text=self._issuer.page(after),
            content_type="application/denylist+jwt",
            headers={"Cache-Control": "no-store"},
        )
