"""The WSGI adapter, under the checks of the standard library's validator."""

from __future__ import annotations

import io
import json
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from tokensvc.core.errors import InsufficientScopeError
from tokensvc.verify.testing import ACCOUNT, FakeIssuer
from tokensvc.verify.wsgi import BearerAuthMiddleware, claims_of, require


def orders(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/late":
        start_response("200 OK", [("Content-Type", "text/plain")])
        raise InsufficientScopeError("orders:late")
    if path == "/delete":
        require(environ, "orders:delete")
    body = b"well" if "tokensvc.claims" not in environ else claims_of(environ).sub.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def issuer():
    return FakeIssuer()


@pytest.fixture
def get(issuer):
    app = validator(
        BearerAuthMiddleware(
            validator(orders), issuer.verifier(), public={"/health", "/app/health"}
        )
    )

    def call(
        path: str, authorization: str | None = None, **more: Any
    ) -> tuple[str, dict[str, str], bytes]:
        environ: dict[str, Any] = {
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "wsgi.input": io.BytesIO(),
            **more,
        }
        if authorization is not None:
            environ["HTTP_AUTHORIZATION"] = authorization
        setup_testing_defaults(environ)
        answers: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status, headers, exc_info=None):
            assert exc_info is None or exc_info[1] is not None
            answers.append((status, headers))
            return lambda _: None

        body = app(environ, start_response)
        try:
            text = b"".join(body)
        finally:
            body.close()  # type: ignore[attr-defined]
        status, headers = answers[-1]
        return status, dict(headers), text

    return call


def test_a_public_path_needs_no_token(get):
    assert get("/health")[::2] == ("200 OK", b"well")
    assert get("/health", SCRIPT_NAME="/app")[::2] == ("200 OK", b"well")
    assert get("/health", **{"tokensvc.claims": "left over"})[2] == b"well"
    assert get("/health/")[0] == "401 Unauthorized"
    assert get("/health", SCRIPT_NAME="/other")[0] == "401 Unauthorized"


def test_everything_else_needs_a_token(get):
    status, headers, body = get("/me")
    assert (status, headers["WWW-Authenticate"]) == ("401 Unauthorized", "Bearer")
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["code"] == "missing_token"


def test_a_good_token_passes_and_the_application_gets_its_claims(get, issuer):
    assert get("/me", f"Bearer {issuer.token()}")[::2] == ("200 OK", ACCOUNT.encode())


@pytest.mark.parametrize(
    ("path", "scope"), [("/delete", "orders:delete"), ("/late", "orders:late")]
)
def test_a_token_without_the_capability_is_refused_and_the_response_names_it(
    get, issuer, path, scope
):
    status, headers, _ = get(path, f"Bearer {issuer.token(scope='orders:read')}")
    assert status == "403 Forbidden"
    assert f'scope="{scope}"' in headers["WWW-Authenticate"]


def test_a_token_with_the_capability_passes(get, issuer):
    assert get("/delete", f"Bearer {issuer.token(scope='orders:delete')}")[0] == "200 OK"


def test_a_bad_token_is_refused_and_the_log_says_why(get, issuer, caplog):
    caplog.set_level("INFO", logger="tokensvc.verify.bearer")
    token = issuer.expired_token()
    status, headers, body = get("/me\nroot", f"Bearer {token}")
    assert (status, json.loads(body)["code"]) == ("401 Unauthorized", "invalid_token")
    assert "expired" in caplog.text
    assert token not in caplog.text
    assert "\n" not in caplog.messages[0]
    assert "reason" not in str(headers)


def test_two_authorization_headers_arrive_joined_and_are_refused(get, issuer):
    assert get("/me", f"Bearer {issuer.token()},Bearer {issuer.token()}")[0] == "400 Bad Request"


def test_while_the_feed_is_silent_the_response_is_503(get, issuer):
    issuer.go_stale()
    status, headers, _ = get("/me", f"Bearer {issuer.token()}")
    assert (status, headers["Retry-After"]) == ("503 Service Unavailable", "5")
