"""Guards FastAPI routes with a security dependency that OpenAPI shows.

verifier = Verifier(issuer="https://auth.example.com", audience="orders-api")
bearer = TokensvcBearer(verifier)
app = FastAPI(lifespan=bearer.lifespan, exception_handlers=bearer.exception_handlers)

@app.get("/orders")
async def list_orders(claims: Annotated[Claims, Security(bearer, scopes=["orders:read"])]): ...

It guards only the routes that depend on it. FastAPI(dependencies=[Security(bearer)]) guards all
routes, and `asgi.BearerAuthMiddleware` guards WebSockets and mounted applications as well. Without
the exception handlers the body of a refusal is FastAPI's own; status and headers are the same.

FastAPI must be installed: it is no dependency of tokensvc.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException, Request, Response
from fastapi.openapi.models import HTTPBearer
from fastapi.security import SecurityScopes  # noqa: TC002 - FastAPI reads the annotations
from fastapi.security.base import SecurityBase

from tokensvc.core.claims import Claims  # noqa: TC001 - FastAPI reads the annotations
from tokensvc.core.errors import BearerError
from tokensvc.verify._bearer import authorize, build_refusal_response, log_refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from fastapi import FastAPI

    from tokensvc.verify._verifier import Verifier


class BearerProblem(HTTPException):
    """A refusal, as an exception that FastAPI understands."""

    def __init__(self, error: BearerError) -> None:
        super().__init__(error.status, error.public_message, error.headers)
        self.error = error


class TokensvcBearer(SecurityBase):
    """A dependency: gives the claims of a good token that has all scopes that a route asks for."""

    def __init__(self, verifier: Verifier, *, scheme_name: str = "tokensvc") -> None:
        self.model = HTTPBearer(bearerFormat="JWT", description="A token of the issuer.")
        self.scheme_name = scheme_name
        self._verifier = verifier

    async def __call__(self, request: Request, scopes: SecurityScopes) -> Claims:
        """Return the claims. Raises BearerProblem."""
        try:
            return authorize(
                self._verifier, request.headers.getlist("Authorization"), scopes.scopes
            )
        except BearerError as error:
            log_refusal(error, request.method, request.url.path)
            raise BearerProblem(error) from error

    @asynccontextmanager
    async def lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        """Run the verifier for as long as the application runs."""
        async with self._verifier:
            yield

    @property
    def exception_handlers(
        self,
    ) -> dict[Any, Callable[[Request, Any], Coroutine[Any, Any, Response]]]:
        """The handlers that answer refusals with problem documents."""
        return {BearerProblem: _answer}


async def _answer(_request: Request, problem: BearerProblem) -> Response:
    refusal = build_refusal_response(problem.error)
    return Response(refusal.body, refusal.status, refusal.headers)
