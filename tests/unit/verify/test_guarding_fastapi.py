"""The FastAPI adapter: a dependency that shows in OpenAPI, and the responses of RFC 6750."""

from __future__ import annotations

from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Security
from tests.simulator import is_running

from tokensvc.verify import Claims  # noqa: TC001 - FastAPI reads the annotations
from tokensvc.verify.fastapi import TokensvcBearer
from tokensvc.verify.testing import ACCOUNT, FakeIssuer

ISSUER = FakeIssuer()
VERIFIER = ISSUER.verifier()
bearer = TokensvcBearer(VERIFIER)
routes = APIRouter()


@routes.get("/me")
async def me(claims: Annotated[Claims, Security(bearer)]) -> dict[str, str]:
    return {"sub": claims.sub}


@routes.get("/orders")
async def read(claims: Annotated[Claims, Security(bearer, scopes=["orders:read"])]) -> list[str]:
    return list(claims.scope)


@routes.get("/delete", dependencies=[Security(bearer, scopes=["orders:read", "orders:delete"])])
async def delete() -> None:
    pass


@routes.get("/health")
async def health() -> str:
    return "well"


def build_client(*, with_handlers: bool = True) -> httpx.AsyncClient:
    app = FastAPI(
        lifespan=bearer.lifespan,
        exception_handlers=bearer.exception_handlers if with_handlers else None,
    )
    app.include_router(routes)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://orders")


@pytest.fixture
def issuer():
    yield ISSUER
    ISSUER.recover()


@pytest.fixture
async def client():
    async with build_client() as made:
        yield made


def bearer_of(token):
    return {"Authorization": f"Bearer {token}"}


async def test_a_good_token_passes_and_the_application_gets_its_claims(client, issuer):
    assert (await client.get("/me", headers=bearer_of(issuer.token()))).json() == {"sub": ACCOUNT}
    assert (
        await client.get("/orders", headers=bearer_of(issuer.token(scope="orders:read")))
    ).json() == ["orders:read"]
    assert (await client.get("/health")).json() == "well"


async def test_a_route_that_depends_on_it_needs_a_token(client):
    answer = await client.get("/me")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "missing_token"


async def test_a_token_without_the_capability_is_refused_and_the_response_names_it(client, issuer):
    answer = await client.get("/delete", headers=bearer_of(issuer.token(scope="orders:read")))
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    assert 'scope="orders:read orders:delete"' in answer.headers["WWW-Authenticate"]


async def test_bad_tokens_two_headers_and_silence_have_a_response_each(client, issuer):
    for token in (issuer.tampered(), issuer.expired_token(), issuer.wrong_audience(), "junk"):
        answer = await client.get("/me", headers=bearer_of(token))
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    header = ("Authorization", f"Bearer {issuer.token()}")
    assert (await client.get("/me", headers=[header, header])).status_code == 400
    issuer.go_stale()
    answer = await client.get("/me", headers=dict([header]))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


async def test_why_a_token_was_refused_is_only_logged(client, issuer, caplog):
    caplog.set_level("INFO", logger="tokensvc.verify.bearer")
    answer = await client.get("/me", headers=bearer_of(issuer.wrong_audience()))
    assert "wrong_audience" not in answer.text + str(answer.headers)
    assert "wrong_audience" in caplog.text


async def test_the_scheme_and_its_scopes_show_in_openapi(client):
    document = (await client.get("/openapi.json")).json()
    scheme = document["components"]["securitySchemes"]["tokensvc"]
    assert (scheme["type"], scheme["scheme"], scheme["bearerFormat"]) == ("http", "bearer", "JWT")
    assert document["paths"]["/orders"]["get"]["security"] == [{"tokensvc": ["orders:read"]}]
    assert document["paths"]["/me"]["get"]["security"] == [{"tokensvc": []}]
    assert "security" not in document["paths"]["/health"]["get"]


async def test_without_the_handlers_status_and_headers_are_the_same():
    async with build_client(with_handlers=False) as client:
        answer = await client.get("/me")
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert answer.json() == {"detail": "a valid access token is required"}


async def test_the_verifier_runs_as_long_as_the_application():
    app = FastAPI(lifespan=bearer.lifespan)
    async with app.router.lifespan_context(app):
        assert await is_running(VERIFIER)
    assert not await is_running(VERIFIER)
