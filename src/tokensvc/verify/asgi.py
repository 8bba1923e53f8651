"""Guards an ASGI application: all requests and WebSockets need a token, except on public paths.

app = BearerAuthMiddleware(app, verifier, public={"/health"})

async def app(scope, receive, send):
    claims = require(scope, "orders:read")  # or claims_of(scope)

In Starlette, use Middleware(BearerAuthMiddleware, verifier): outside of Starlette an exception of
the application has already become a 500. The claims are also in request.state.tokensvc_claims.

The verifier runs for as long as the application: the lifespan events start and close it. CORS
middleware must be outside of this one, because a preflight request has no token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.errors import BearerError
from tokensvc.verify._bearer import (
    authorize,
    build_refusal_response,
    check_scope,
    log_refusal,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, MutableMapping

    from tokensvc.core.claims import Claims
    from tokensvc.verify._verifier import Verifier

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

STATE_KEY: Final = "tokensvc_claims"

_POLICY_VIOLATION: Final = 1008


def claims_of(scope: Scope) -> Claims:
    """Return the claims of the request. Raises KeyError on a public path: it has none."""
    claims: Claims = scope["state"][STATE_KEY]
    return claims


def require(scope: Scope, *capabilities: str) -> Claims:
    """Return the claims of the request if its token has all these capabilities.

    Raises InsufficientScopeError, which the middleware answers with 403.
    """
    claims = claims_of(scope)
    check_scope(claims, capabilities)
    return claims


class BearerAuthMiddleware:
    """Lets requests with a good token pass.

    `public`: paths that need no token. They are compared exactly with the `path` of the scope.
    """

    def __init__(self, app: App, verifier: Verifier, *, public: Collection[str] = ()) -> None:
        self._app = app
        self._verifier = verifier
        self._public = frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await _Lifespan(receive, send).run(self._app, self._verifier, scope)
        elif scope["path"] in self._public:
            await self._app(scope, receive, send)
        else:
            await self._guard(scope, receive, send)

    async def _guard(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def send_on(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            headers = [
                value.decode("latin-1")
                for name, value in scope["headers"]
                if name.lower() == b"authorization"
            ]
            claims = authorize(self._verifier, headers)
            state = {**scope.get("state", {}), STATE_KEY: claims}
            await self._app({**scope, "state": state}, receive, send_on)
        except BearerError as error:  # also one that `require` has raised in the application
            # An answer that has begun cannot become a refusal any more.
            if has_begun:
                raise
            log_refusal(error, scope.get("method", "WebSocket"), scope["path"])
            await _refuse(error, scope, receive, send)


async def _refuse(error: BearerError, scope: Scope, receive: Receive, send: Send) -> None:
    refusal = build_refusal_response(error)
    headers = [
        (name.lower().encode("ascii"), value.encode("latin-1"))
        for name, value in refusal.headers.items()
    ]
    kind = "http.response"
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        kind = "websocket.http.response"
        if kind not in scope.get("extensions", {}):
            # A close before the connection was accepted makes the server answer 403.
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
    await send({"type": f"{kind}.start", "status": refusal.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": refusal.body})


class _Lifespan:
    """Starts the verifier before the application, and closes it after the application has ended.

    It also serves an application that does not support lifespan events.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._startup: Message | None = None
        self._is_answered = False

    async def run(self, app: App, verifier: Verifier, scope: Scope) -> None:
        self._startup = await self._receive()
        async with verifier:
            try:
                await app(scope, self._receive_on, self._send_on)
            except Exception:
                if self._is_answered:
                    raise
            # Silence or an exception means that the application does not support lifespan events.
            # The server must go on then (ASGI lifespan protocol), so the answer is given here.
            if not self._is_answered:
                await self._send({"type": "lifespan.startup.complete"})
                await self._receive()
                await self._send({"type": "lifespan.shutdown.complete"})

    async def _receive_on(self) -> Message:
        startup, self._startup = self._startup, None
        return await self._receive() if startup is None else startup

    async def _send_on(self, message: Message) -> None:
        self._is_answered = True
        await self._send(message)
