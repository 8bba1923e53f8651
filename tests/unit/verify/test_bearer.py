"""What all adapters have in common: one header, one token, and the answers of RFC 6750."""

from __future__ import annotations

import json

import pytest
from tests.factories import make_claims

from tokensvc.core.errors import (
    BearerError,
    InsufficientScopeError,
    InvalidTokenError,
    MalformedAuthorizationError,
    MissingTokenError,
    VerifierUnavailableError,
)
from tokensvc.verify.bearer import authorize, build_answer, check_scope, read_bearer
from tokensvc.verify.testing import FakeIssuer


@pytest.mark.parametrize("header", ["Bearer t.o.k", "bearer t.o.k", "BEARER   t.o.k "])
def test_one_header_with_one_token_is_read(header):
    assert read_bearer([header]) == "t.o.k"


HEADERS: dict[str, tuple[list[str], str]] = {
    "none": ([], "missing_token"),
    "empty": ([""], "missing_token"),
    "basic": (["Basic dXNlcjpwYXNz"], "missing_token"),
    "another scheme": (["Bearers t"], "missing_token"),
    "no token": (["Bearer"], "empty_bearer"),
    "blank token": (["Bearer  "], "empty_bearer"),
    "two": (["Bearer a", "Bearer b"], "two_authorization_headers"),
    "the same twice": (["Bearer a", "Bearer a"], "two_authorization_headers"),
    "two of different schemes": (["Basic a", "Bearer b"], "two_authorization_headers"),
    "two joined by a comma": (["Bearer a,Bearer b"], "two_authorization_headers"),
    "two joined by a comma and a space": (["Bearer a, Bearer b"], "two_authorization_headers"),
}


@pytest.mark.parametrize(("headers", "reason"), HEADERS.values(), ids=HEADERS)
def test_every_other_header_is_refused(headers, reason):
    with pytest.raises((MissingTokenError, MalformedAuthorizationError)) as refusal:
        read_bearer(headers)
    assert refusal.value.reason == reason


ANSWERS: list[tuple[BearerError, int, str, dict[str, str]]] = [
    (MissingTokenError(), 401, "missing_token", {"WWW-Authenticate": "Bearer"}),
    (
        MalformedAuthorizationError("x"),
        400,
        "invalid_request",
        {
            "WWW-Authenticate": 'Bearer error="invalid_request", error_description="send one Authorization header: Bearer and one token"'
        },
    ),
    (
        InvalidTokenError("wrong_audience"),
        401,
        "invalid_token",
        {
            "WWW-Authenticate": 'Bearer error="invalid_token", error_description="the access token is invalid, expired or revoked"'
        },
    ),
    (
        InsufficientScopeError("a:b c:d"),
        403,
        "insufficient_scope",
        {
            "WWW-Authenticate": 'Bearer error="insufficient_scope", error_description="the access token lacks a capability", scope="a:b c:d"'
        },
    ),
    (VerifierUnavailableError("no_keys"), 503, "temporarily_unavailable", {"Retry-After": "5"}),
]


@pytest.mark.parametrize(
    ("error", "status", "code", "headers"), ANSWERS, ids=[code for _, _, code, _ in ANSWERS]
)
def test_every_refusal_has_the_answer_of_rfc_6750_and_a_problem_document(
    error, status, code, headers
):
    answer = build_answer(error)
    assert (answer.status, answer.headers) == (
        status,
        {**headers, "Content-Type": "application/problem+json"},
    )
    problem = json.loads(answer.body)
    assert problem == {
        "type": f"urn:tokensvc:problem:{code}",
        "title": error.public_message,
        "status": status,
        "code": code,
    }
    assert error.reason == code or error.reason not in answer.body.decode() + str(answer.headers)


def test_all_capabilities_that_are_needed_must_be_there():
    claims = make_claims(scope=("a:b", "c:d"))
    check_scope(claims, ())
    check_scope(claims, ("a:b", "c:d"))
    with pytest.raises(InsufficientScopeError) as refusal:
        check_scope(claims, ("a:b", "e:f"))
    assert refusal.value.needed == "a:b e:f"


def test_who_is_authorized_is_known_by_name():
    issuer = FakeIssuer()
    claims = authorize(
        issuer.verifier(),
        [f"Bearer {issuer.token(scope='orders:read', sub='acct_me')}"],
        ["orders:read"],
    )
    assert (claims.sub, claims.scope) == ("acct_me", ("orders:read",))
