"""Guarding an ASGI application, in pure ASGI: every request and every WebSocket needs a token, except on the paths that are named public.

app = BearerAuthMiddleware(app, verifier, public={"/health"})

async def app(scope, receive, send):
    claims = require(scope, "orders:read")      # or claims_of(scope); Starlette: request.state.tokensvc_claims

Starlette answers 500 to whatever reaches its outside, so there it belongs inside: Middleware(BearerAuthMiddleware, verifier). The verifier
runs as long as the application: the lifespan events start and close it. Put CORS in front of this: browsers ask beforehand without a token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.errors import BearerError
from tokensvc.verify.bearer import authorize, build_answer, check_scope, log_refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, MutableMapping

    from tokensvc.core.claims import Claims
    from tokensvc.verify.verifier import Verifier

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

STATE_KEY: Final = "tokensvc_claims"

_POLICY_VIOLATION: Final = 1008


def claims_of(scope: Scope) -> Claims:
    """Return the claims of the request. Raises KeyError on a public path, where nobody has looked for a token."""
    claims: Claims = scope["state"][STATE_KEY]
    return claims


def require(scope: Scope, *capabilities: str) -> Claims:
    """Return the claims of the request if they carry all these capabilities; else the middleware answers 403."""
    claims = claims_of(scope)
    check_scope(claims, capabilities)
    return claims


class BearerAuthMiddleware:
    """Lets through what carries a good token. `public`: paths compared exactly with the scope's `path`."""

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
        except BearerError as error:  # also one that the application raises
            if has_begun:
                raise
            log_refusal(error, scope.get("method", "WebSocket"), scope["path"])
            await _refuse(error, scope, receive, send)


async def _refuse(error: BearerError, scope: Scope, receive: Receive, send: Send) -> None:
    answer = build_answer(error)
    headers = [
        (name.lower().encode("ascii"), value.encode("latin-1"))
        for name, value in answer.headers.items()
    ]
    kind = "http.response"
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        kind = "websocket.http.response"
        if kind not in scope.get("extensions", {}):
            await send(
                {"type": "websocket.close", "code": _POLICY_VIOLATION}
            )  # before it was accepted: the server answers 403
            return
    await send({"type": f"{kind}.start", "status": answer.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": answer.body})


class _Lifespan:
    """The application's start and end around those of the verifier; also for an application that knows nothing of either."""

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
            if not self._is_answered:  # "if an exception is raised, the server must continue": it does not support lifespan
                await self._send({"type": "lifespan.startup.complete"})
                await self._receive()
                await self._send({"type": "lifespan.shutdown.complete"})

    async def _receive_on(self) -> Message:
        startup, self._startup = self._startup, None
        return await self._receive() if startup is None else startup

    async def _send_on(self, message: Message) -> None:
        self._is_answered = True
        await self._send(message)
