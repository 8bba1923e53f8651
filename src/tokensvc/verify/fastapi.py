"""Guarding FastAPI routes: a security dependency that shows in OpenAPI.

verifier = Verifier(issuer="https://auth.example.com", audience="orders-api")
bearer = TokensvcBearer(verifier)
app = FastAPI(lifespan=bearer.lifespan, exception_handlers=bearer.exception_handlers)

@app.get("/orders")
async def list_orders(claims: Annotated[Claims, Security(bearer, scopes=["orders:read"])]): ...

Only what depends on it is guarded: FastAPI(dependencies=[Security(bearer)]) guards all routes, `asgi.BearerAuthMiddleware` also WebSockets,
mounts, and what nobody thought of. Without the exception handlers status and headers are the same, and the body is FastAPI's own.
Needs FastAPI, which tokensvc does not bring.
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
from tokensvc.verify.bearer import authorize, build_answer, log_refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    from fastapi import FastAPI

    from tokensvc.verify.verifier import Verifier


class BearerProblem(HTTPException):
    """A refusal on its way through FastAPI."""

    def __init__(self, error: BearerError) -> None:
        super().__init__(error.status, error.public_message, error.headers)
        self.error = error


class TokensvcBearer(SecurityBase):
    """Gives the claims of a good token that carries all scopes that are asked for."""

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
        """Run the verifier as long as the application."""
        async with self._verifier:
            yield

    @property
    def exception_handlers(
        self,
    ) -> dict[Any, Callable[[Request, Any], Coroutine[Any, Any, Response]]]:
        """Handlers that answer refusals with problem documents."""
        return {BearerProblem: _answer}


async def _answer(_request: Request, problem: BearerProblem) -> Response:
    answer = build_answer(problem.error)
    return Response(answer.body, answer.status, answer.headers)
