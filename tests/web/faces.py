"""Every face that reads an Authorization header, behind one call: the values in, the answer out."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from wsgiref.util import setup_testing_defaults

import httpx
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from fastapi import FastAPI, Security

from tokensvc.verify.aiohttp import auth_middleware
from tokensvc.verify.asgi import BearerAuthMiddleware as AsgiMiddleware
from tokensvc.verify.fastapi import TokensvcBearer
from tokensvc.verify.wsgi import BearerAuthMiddleware as WsgiMiddleware

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from tokensvc.verify import Verifier

    Face = Callable[[Sequence[str]], Awaitable["Answer"]]

OAUTH_FORMS: Final = {
    "/v1/token": {"grant_type": "client_credentials"},
    "/v1/introspect": {"token": "nobody's"},
    "/v1/revoke": {"token": "nobody's"},
}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What matters of an answer; `error` is None if nothing was refused."""

    status: int
    error: str | None
    challenge: str | None


def read_answer(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    said = json.loads(body) if status >= 400 else {}
    return Answer(
        status=status,
        error=said.get("error", said.get("code")),
        challenge=headers.get("WWW-Authenticate"),
    )


def reach_service(client: TestClient[Any, Any], path: str) -> Face:
    """The service itself: an OAuth endpoint, or the feed."""

    async def ask(values: Sequence[str]) -> Answer:
        headers = [("Authorization", value) for value in values]
        if path in OAUTH_FORMS:
            answer = await client.post(path, data=OAUTH_FORMS[path], headers=headers)
        else:
            answer = await client.get(path, headers=headers)
        return read_answer(answer.status, answer.headers, await answer.read())

    return ask


def reach_aiohttp(verifier: Verifier) -> Face:
    async def ask(values: Sequence[str]) -> Answer:
        app = web.Application(middlewares=[auth_middleware(verifier)])
        app.router.add_get("/", _answer_nothing)
        async with TestClient(TestServer(app)) as client:
            return await reach_service(client, "/")(values)

    return ask


async def _answer_nothing(_request: web.Request) -> web.Response:
    return web.Response()


def reach_asgi(verifier: Verifier) -> Face:
    async def answer_nothing(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return _reach_asgi_app(AsgiMiddleware(answer_nothing, verifier))


def reach_fastapi(verifier: Verifier) -> Face:
    bearer = TokensvcBearer(verifier)
    app = FastAPI(exception_handlers=bearer.exception_handlers)

    @app.get("/", dependencies=[Security(bearer)])
    async def answer_nothing() -> None:
        pass

    return _reach_asgi_app(app)


def _reach_asgi_app(app: Any) -> Face:
    async def ask(values: Sequence[str]) -> Answer:
        headers = [(b"Authorization", value.encode()) for value in values]
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://orders"
        ) as client:
            answer = await client.get("/", headers=headers)
        return read_answer(answer.status_code, answer.headers, answer.content)

    return ask


def reach_wsgi(verifier: Verifier) -> Face:
    """A WSGI server, which joins headers of one name by commas."""

    def answer_nothing(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return []

    async def ask(values: Sequence[str]) -> Answer:
        environ: dict[str, Any] = {"wsgi.input": io.BytesIO(), "PATH_INFO": "/"}
        if values:
            environ["HTTP_AUTHORIZATION"] = ",".join(values).encode().decode("latin-1")
        setup_testing_defaults(environ)
        begun: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> Any:
            begun.append((status, headers))

        app: Any = WsgiMiddleware(answer_nothing, verifier)
        body = b"".join(app(environ, start_response))
        ((status, headers),) = begun
        return read_answer(int(status[:3]), dict(headers), body)

    return ask


ADAPTERS: Final[dict[str, Callable[[Verifier], Face]]] = {
    "aiohttp": reach_aiohttp,
    "asgi": reach_asgi,
    "fastapi": reach_fastapi,
    "wsgi": reach_wsgi,
}
