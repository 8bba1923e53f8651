"""The aiohttp adapter on a real server: no handler without a token unless it is public."""

from __future__ import annotations

import functools

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from tests.factories import ACCOUNT_ID

from tokensvc.verify import Verifier
from tokensvc.verify.aiohttp import CLAIMS, auth_middleware, follow, public, requires
from tokensvc.verify.testing import FakeIssuer


@public
async def health(_request):
    return web.Response(text="well")


async def whoami(request):
    return web.json_response({"sub": request[CLAIMS].sub})


@requires("orders:read")
async def read(_request):
    return web.Response(text="orders")


@requires("orders:read", "orders:delete")
async def delete(_request):
    return web.Response(text="gone")


@requires("orders:read")
@requires("orders:delete")
async def stacked(_request):
    return web.Response(text="gone")


@requires("orders:delete")
class Orders(web.View):
    async def get(self):
        return web.Response(text="orders")


class Methods(web.View):
    @requires("orders:delete")
    async def get(self):
        return web.Response(text="orders")


@public
class Open(web.View):
    async def get(self):
        return web.Response(text="open")


class InheritsOpen(Open):
    pass


def logged(handler):
    @functools.wraps(handler)
    async def wrapper(request):
        return await handler(request)

    return wrapper


@pytest.fixture
def issuer():
    return FakeIssuer()


@pytest.fixture
async def client(issuer):
    verifier = issuer.verifier()
    app = web.Application(middlewares=[auth_middleware(verifier)])
    app.cleanup_ctx.append(follow(verifier))
    for path, handler in {
        "/health": health,
        "/me": whoami,
        "/read": read,
        "/delete": delete,
        "/stacked": stacked,
    }.items():
        app.router.add_get(path, handler)
    for path, handler in {
        "/partial": functools.partial(delete),
        "/wrapped": logged(delete),
        "/wrapped-open": logged(health),
    }.items():
        app.router.add_get(path, handler)
    for path, view in {
        "/orders": Orders,
        "/methods": Methods,
        "/open": Open,
        "/inherits": InheritsOpen,
    }.items():
        app.router.add_view(path, view)
    async with TestClient(TestServer(app)) as made:
        yield made


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("path", ["/health", "/open"])
async def test_a_public_handler_needs_no_token(client, path):
    assert (await client.get(path)).status == 200


@pytest.mark.parametrize("path", ["/me", "/read", "/orders", "/nowhere"])
async def test_everything_else_needs_a_token(client, path):
    answer = await client.get(path)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.content_type == "application/problem+json"
    assert (await answer.json())["code"] == "missing_token"


async def test_a_good_token_passes_and_the_application_gets_its_claims(client, issuer):
    answer = await client.get("/me", headers=bearer(issuer.token()))
    assert await answer.json() == {"sub": ACCOUNT_ID}
    assert (await client.get("/read", headers=bearer(issuer.token()))).status == 200


@pytest.mark.parametrize("path", ["/delete", "/orders", "/stacked", "/methods"])
async def test_a_token_without_the_capability_is_refused_and_the_response_names_it(
    client, issuer, path
):
    answer = await client.get(path, headers=bearer(issuer.token()))
    assert answer.status == 403
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    assert "orders:delete" in answer.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("value", "status", "challenge"),
    [
        ("", 401, "Bearer"),
        ("Basic dXNlcjpwYXNz", 401, "Bearer"),
        ("Bearer", 400, 'Bearer error="invalid_request"'),
        ("Bearer ", 400, 'Bearer error="invalid_request"'),
        ("Bearer junk", 401, 'Bearer error="invalid_token"'),
        ("Bearer a.b.c", 401, 'Bearer error="invalid_token"'),
        ("Bearer one two", 400, 'Bearer error="invalid_request"'),
    ],
)
async def test_other_headers_get_the_response_of_rfc_6750(client, value, status, challenge):
    answer = await client.get("/me", headers={"Authorization": value})
    assert answer.status == status
    assert answer.headers["WWW-Authenticate"].startswith(challenge)


@pytest.mark.parametrize("write", ["Bearer {}", "bearer {}", "BEARER   {} "])
async def test_the_scheme_is_compared_without_case(client, issuer, write):
    headers = {"Authorization": write.format(issuer.token())}
    assert (await client.get("/me", headers=headers)).status == 200


async def test_two_authorization_headers_are_refused(client, issuer):
    header = ("Authorization", f"Bearer {issuer.token()}")
    answer = await client.get("/me", headers=[header, header])
    assert answer.status == 400
    assert (await answer.json())["code"] == "invalid_request"


async def test_a_token_in_the_query_is_no_token(client, issuer):
    assert (await client.get("/me", params={"access_token": issuer.token()})).status == 401


async def test_why_a_token_was_refused_is_only_logged(client, issuer, caplog):
    caplog.set_level("INFO", logger="tokensvc.verify.bearer")
    token = issuer.wrong_audience()
    answer = await client.get("/me", headers=bearer(token))
    assert "wrong_audience" not in await answer.text()
    assert "wrong_audience" in caplog.text
    assert token not in caplog.text


async def test_a_path_cannot_write_lines_into_the_log(client, caplog):
    caplog.set_level("INFO", logger="tokensvc.verify.bearer")
    await client.get("/nowhere%0A2026 root: all is well")
    (message,) = [
        record.getMessage() for record in caplog.records if record.name == "tokensvc.verify.bearer"
    ]
    assert "\n" not in message


async def test_without_a_denylist_the_response_is_503(issuer):
    verifier = Verifier(issuer=issuer.issuer, audience="api")
    verifier.take(jwks=issuer.answer_jwks())
    app = web.Application(middlewares=[auth_middleware(verifier)])
    app.router.add_get("/me", whoami)
    async with TestClient(TestServer(app)) as made:
        answer = await made.get("/me", headers=bearer(issuer.token()))
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize("path", ["/partial", "/wrapped"])
async def test_a_wrapped_handler_keeps_its_required_capabilities(client, issuer, path):
    assert (await client.get(path, headers=bearer(issuer.token()))).status == 403


async def test_a_wrapped_public_handler_is_public_but_a_subclass_of_a_public_view_is_not(client):
    assert (await client.get("/wrapped-open")).status == 200
    assert (await client.get("/inherits")).status == 401
