"""Answers to what is no HTTP, before there is a request, an application or a middleware.

aiohttp would quote the malformed line with the credentials in it, and name itself and its version.
"""

from __future__ import annotations

from aiohttp import web

from tokensvc.web.problems import NO_STORE


class Server(web.Server):
    """The server of aiohttp, with our protocol."""

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of one connection."""
        return _Protocol(self, loop=self._loop, **self._kwargs)

    @classmethod
    def like(cls, server: web.Server) -> Server:
        """Return a server that handles requests as `server` does."""
        return cls(
            server.request_handler,
            request_factory=server.request_factory,
            loop=server._loop,  # noqa: SLF001 - aiohttp offers no other way
            **server._kwargs,  # noqa: SLF001
        )


class _Protocol(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer with a constant text, and never with what was sent."""
        # For its log line, and because it checks whether an answer was begun already.
        super().handle_error(request, status, exc, message)
        body = {"error": "invalid_request", "error_description": "the request is malformed"}
        response = web.json_response(body, status=status, headers=NO_STORE | {"Server": "tokensvc"})
        response.force_close()
        return response
