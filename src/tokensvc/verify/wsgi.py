"""Guards a WSGI application (Flask, Django, ...): requests need a token, except on public paths.

app = BearerAuthMiddleware(app, verifier, public={"/health"})

def app(environ, start_response):
    claims = require(environ, "orders:read")  # or claims_of(environ); in Flask: request.environ

`verifier` is a `ThreadedVerifier`. Start it in each process that serves. If the server forks, that
is after the fork (gunicorn: post_fork).

Not here: starting the verifier.
"""

from __future__ import annotations

import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.errors import BearerError
from tokensvc.verify._bearer import (
    authorize,
    build_refusal_response,
    check_scope,
    log_refusal,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from wsgiref.types import StartResponse, WSGIApplication

    from tokensvc.core.claims import Claims
    from tokensvc.verify._bearer import VerifiesTokens

ENVIRON_KEY: Final = "tokensvc.claims"


def claims_of(environ: dict[str, Any]) -> Claims:
    """Return the claims of the request. Raises KeyError on a public path: it has none."""
    claims: Claims = environ[ENVIRON_KEY]
    return claims


def require(environ: dict[str, Any], *capabilities: str) -> Claims:
    """Return the claims of the request if its token has all these capabilities.

    Raises InsufficientScopeError, which the middleware answers with 403. A framework that catches
    every exception itself must be told to let this one pass.
    """
    claims = claims_of(environ)
    check_scope(claims, capabilities)
    return claims


class BearerAuthMiddleware:
    """Lets requests with a good token pass.

    `public`: paths that need no token. They are compared exactly with SCRIPT_NAME and PATH_INFO
    together.
    """

    def __init__(
        self, app: WSGIApplication, verifier: VerifiesTokens, *, public: Collection[str] = ()
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._public = frozenset(public)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        # On a public path no claims may be found, whatever was called before this.
        environ.pop(ENVIRON_KEY, None)
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if path in self._public:
            return self._app(environ, start_response)
        header = environ.get("HTTP_AUTHORIZATION")
        try:
            environ[ENVIRON_KEY] = authorize(self._verifier, [] if header is None else [header])
            return self._app(environ, start_response)
        except BearerError as error:  # also one that `require` has raised in the application
            log_refusal(error, environ["REQUEST_METHOD"], path)
            refusal = build_refusal_response(error)
            # With `exc_info`, these replace headers that were given and not sent yet (PEP 3333).
            start_response(
                f"{refusal.status} {HTTPStatus(refusal.status).phrase}",
                list(refusal.headers.items()),
                sys.exc_info(),
            )
            return [refusal.body]
