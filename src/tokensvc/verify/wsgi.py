"""Guarding a WSGI application (Flask, Django, Bottle, ...): every request needs a token, except on the paths that are named public.

app = BearerAuthMiddleware(app, verifier, public={"/health"})

def app(environ, start_response):
    claims = require(environ, "orders:read")        # or claims_of(environ); Flask: request.environ

`verifier` is a `ThreadedVerifier`, started in each process that serves: after the fork of a server that forks (gunicorn: post_fork).
Not here: starting it.
"""

from __future__ import annotations

import sys
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.errors import BearerError
from tokensvc.verify.bearer import authorize, build_answer, check_scope, log_refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from wsgiref.types import StartResponse, WSGIApplication

    from tokensvc.core.claims import Claims
    from tokensvc.verify.bearer import VerifiesTokens

ENVIRON_KEY: Final = "tokensvc.claims"


def claims_of(environ: dict[str, Any]) -> Claims:
    """Return the claims of the request. Raises KeyError on a public path, where nobody has looked for a token."""
    claims: Claims = environ[ENVIRON_KEY]
    return claims


def require(environ: dict[str, Any], *capabilities: str) -> Claims:
    """Return the claims of the request if they carry all these capabilities; else the middleware answers 403.

    Raises InsufficientScopeError: a framework that catches every exception itself must be told to let it through.
    """
    claims = claims_of(environ)
    check_scope(claims, capabilities)
    return claims


class BearerAuthMiddleware:
    """Lets through what carries a good token. `public`: paths compared exactly with SCRIPT_NAME and PATH_INFO together."""

    def __init__(
        self, app: WSGIApplication, verifier: VerifiesTokens, *, public: Collection[str] = ()
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._public = frozenset(public)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        environ.pop(ENVIRON_KEY, None)
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        if path in self._public:
            return self._app(environ, start_response)
        header = environ.get("HTTP_AUTHORIZATION")
        try:
            environ[ENVIRON_KEY] = authorize(self._verifier, [] if header is None else [header])
            return self._app(environ, start_response)
        except BearerError as error:  # also one that the application raises
            log_refusal(error, environ["REQUEST_METHOD"], path)
            answer = build_answer(error)
            start_response(
                f"{answer.status} {HTTPStatus(answer.status).phrase}",
                list(answer.headers.items()),
                sys.exc_info(),
            )
            return [answer.body]
