"""The ASGI adapter: no request or WebSocket without a token; it also starts the verifier."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from tests.simulator import is_running

from tokensvc.verify import InvalidTokenError, Verifier
from tokensvc.verify.asgi import BearerAuthMiddleware, claims_of, require
from tokensvc.verify.testing import ACCOUNT, FakeIssuer


async def whoami(request):
    assert request.state.tokensvc_claims is claims_of(request.scope)
    return JSONResponse({"sub": request.state.tokensvc_claims.sub})


async def delete(request):
    require(request.scope, "orders:read", "orders:delete")
    return PlainTextResponse("gone")


async def health(request):
    with pytest.raises(KeyError):
        claims_of(request.scope)
    return PlainTextResponse("well")


async def socket(websocket):
    await websocket.accept()
    await websocket.send_text(claims_of(websocket.scope).sub)
    await websocket.close()


ROUTES = [
    Route("/me", whoami),
    Route("/delete", delete),
    Route("/health", health),
    Mount("/sub", routes=[Route("/health", health), Route("/me", whoami)]),
    WebSocketRoute("/socket", socket),
]


@pytest.fixture
def issuer():
    return FakeIssuer()


@pytest.fixture
def within(issuer):
    return Starlette(
        routes=ROUTES,
        middleware=[Middleware(BearerAuthMiddleware, issuer.verifier(), public={"/health"})],
    )


@pytest.fixture(params=["around", "within"])
def app(request, issuer, within):
    if request.param == "within":
        return within
    return BearerAuthMiddleware(Starlette(routes=ROUTES), issuer.verifier(), public={"/health"})


@pytest.fixture
async def client(app):
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://orders"
    ) as made:
        yield made


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


async def test_a_public_path_needs_no_token_but_a_path_that_only_looks_like_it_does(client):
    assert (await client.get("/health")).text == "well"
    for path in ("/health/", "/sub/health", "/Health", "/health%2F", "/health%00", "//health"):
        assert (await client.get(path, follow_redirects=False)).status_code == 401


@pytest.mark.parametrize("path", ["/me", "/delete", "/sub/me", "/nowhere", "/"])
async def test_everything_else_needs_a_token(client, path):
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "missing_token"


async def test_a_good_token_passes_and_the_application_gets_its_claims(client, issuer):
    assert (await client.get("/me", headers=bearer(issuer.token()))).json() == {"sub": ACCOUNT}
    assert (await client.get("/nowhere", headers=bearer(issuer.token()))).status_code == 404


async def test_a_token_without_the_capability_is_refused_and_the_response_names_it(within, issuer):
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(within), base_url="http://orders"
    ) as client:
        answer = await client.get("/delete", headers=bearer(issuer.token(scope="orders:read")))
        assert answer.status_code == 403
        assert 'scope="orders:read orders:delete"' in answer.headers["WWW-Authenticate"]
        assert (
            await client.get(
                "/delete", headers=bearer(issuer.token(scope="orders:delete orders:read"))
            )
        ).text == "gone"


async def test_a_bad_token_is_refused_and_the_log_says_why(client, issuer, caplog):
    caplog.set_level("INFO", logger="tokensvc.verify.bearer")
    token = issuer.wrong_audience()
    answer = await client.get("/me%0Aroot", headers=bearer(token))
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert "wrong_audience" not in answer.text + str(answer.headers)
    assert all("wrong_audience" in line for line in caplog.messages)
    assert not any("\n" in line for line in caplog.messages)
    assert token not in caplog.text


async def test_two_authorization_headers_are_refused(client, issuer):
    header = ("Authorization", f"Bearer {issuer.token()}")
    answer = await client.get("/me", headers=[header, header])
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_while_the_feed_is_silent_the_response_is_503(client, issuer):
    token = issuer.token()
    assert (await client.get("/me", headers=bearer(token))).status_code == 200
    issuer.go_stale()
    answer = await client.get("/me", headers=bearer(token))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    issuer.recover()
    assert (await client.get("/me", headers=bearer(token))).status_code == 200


# --- without any framework -----------------------------------------------------------------------


def scope_of(kind: str = "http", **changes: Any) -> dict[str, Any]:
    return {"type": kind, "path": "/", "method": "GET", "headers": []} | changes


async def call(app: Any, scope: dict[str, Any], *messages: dict[str, Any]) -> list[dict[str, Any]]:
    received, sent = list(messages), []

    async def receive():
        return received.pop(0)

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent


def headers_of(token: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {token}".encode())]


async def test_a_websocket_needs_a_token_too(app, issuer):
    connect = {"type": "websocket.connect"}
    sent = await call(
        app, scope_of("websocket", path="/socket", headers=headers_of(issuer.token())), connect
    )
    assert [message.get("text") for message in sent] == [None, ACCOUNT, None]
    sent = await call(
        app,
        scope_of("websocket", path="/socket", extensions={"websocket.http.response": {}}),
        connect,
    )
    assert [message["type"] for message in sent] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    assert (sent[0]["status"], dict(sent[0]["headers"])[b"www-authenticate"]) == (401, b"Bearer")


async def test_a_websocket_is_closed_if_the_server_cannot_send_a_response_instead(issuer):
    guarded = BearerAuthMiddleware(Starlette(), issuer.verifier())
    sent = await call(guarded, scope_of("websocket"), {"type": "websocket.connect"})
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_a_refusal_after_the_response_has_begun_is_an_error_of_the_application(issuer):
    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise InvalidTokenError("too_late")

    guarded = BearerAuthMiddleware(app, issuer.verifier())
    with pytest.raises(InvalidTokenError):
        await call(guarded, scope_of(headers=headers_of(issuer.token())))


STARTUP, SHUTDOWN = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}


async def test_the_verifier_runs_as_long_as_an_application_that_does_not_support_lifespan_events(
    issuer,
):
    verifier = issuer.verifier()

    async def app(scope, _receive, _send):
        assert await is_running(verifier)
        raise NotImplementedError(scope["type"])

    sent = await call(BearerAuthMiddleware(app, verifier), {"type": "lifespan"}, STARTUP, SHUTDOWN)
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert not await is_running(verifier)


async def test_lifespan_events_are_passed_on_to_the_application(app):
    sent = await call(app, {"type": "lifespan", "app": app, "state": {}}, STARTUP, SHUTDOWN)
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_lifespan_events_are_answered_for_an_application_that_ignores_them(issuer):
    async def app(_scope, _receive, _send):
        await asyncio.sleep(0)

    sent = await call(
        BearerAuthMiddleware(app, issuer.verifier()), {"type": "lifespan"}, STARTUP, SHUTDOWN
    )
    assert len(sent) == 2


async def test_the_verifier_is_closed_if_the_application_cannot_start(issuer):
    verifier = issuer.verifier()

    async def app(_scope, receive, send):
        assert await receive() == STARTUP
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await call(BearerAuthMiddleware(app, verifier), {"type": "lifespan"}, STARTUP)
    assert not await is_running(verifier)


async def test_the_state_of_the_server_is_not_changed(issuer):
    state = {"database": 1}
    seen = []

    async def app(scope, _receive, _send):
        seen.append(scope["state"])

    headers = [(b"Authorization", f"Bearer {issuer.token()}".encode())]
    await call(BearerAuthMiddleware(app, issuer.verifier()), scope_of(headers=headers, state=state))
    assert set(seen[0]) == {"database", "tokensvc_claims"}
    assert state == {"database": 1}


async def test_without_lifespan_events_the_verifier_is_not_started_and_says_so(issuer):
    guarded = BearerAuthMiddleware(Starlette(), Verifier(issuer=issuer.issuer, audience="api"))
    with pytest.raises(RuntimeError, match="the verifier was never started"):
        await call(guarded, scope_of(headers=[(b"authorization", b"Bearer a.b.c")]))
