"""What all adapters share: one header with one token, and the refusals of RFC 6750."""

from __future__ import annotations

import json

import pytest
from tests.factories import make_claims

from tokensvc.verify import (
    BearerError,
    Claims,
    InsufficientScopeError,
    InvalidTokenError,
    MalformedAuthorizationError,
    MissingTokenError,
    VerifierUnavailableError,
    authorize,
    build_refusal_response,
)
from tokensvc.verify.testing import FakeIssuer


class AcceptsAll:
    """Stands where a verifier does. Notes the tokens."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    def verify(self, token: str) -> Claims:
        self.tokens.append(token)
        return make_claims(scope=("a:b", "c:d"))


@pytest.mark.parametrize("header", ["Bearer t.o.k", "bearer t.o.k", "BEARER   t.o.k "])
def test_the_token_of_the_one_header_is_verified(header):
    verifier = AcceptsAll()
    assert authorize(verifier, [header]) == make_claims(scope=("a:b", "c:d"))
    assert verifier.tokens == ["t.o.k"]


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
        authorize(AcceptsAll(), headers)
    assert refusal.value.reason == reason


REFUSALS: list[tuple[BearerError, int, str, dict[str, str]]] = [
    (MissingTokenError(), 401, "missing_token", {"WWW-Authenticate": "Bearer"}),
    (
        MalformedAuthorizationError("x"),
        400,
        "invalid_request",
        {
            "WWW-Authenticate": 'Bearer error="invalid_request", '
            'error_description="send one Authorization header: Bearer and one token"'
        },
    ),
    (
        InvalidTokenError("wrong_audience"),
        401,
        "invalid_token",
        {
            "WWW-Authenticate": 'Bearer error="invalid_token", '
            'error_description="the access token is invalid, expired or revoked"'
        },
    ),
    (
        InsufficientScopeError("a:b c:d"),
        403,
        "insufficient_scope",
        {
            "WWW-Authenticate": 'Bearer error="insufficient_scope", '
            'error_description="the access token lacks a capability", scope="a:b c:d"'
        },
    ),
    (VerifierUnavailableError("no_keys"), 503, "temporarily_unavailable", {"Retry-After": "5"}),
]


@pytest.mark.parametrize(
    ("error", "status", "code", "headers"), REFUSALS, ids=[code for _, _, code, _ in REFUSALS]
)
def test_every_refusal_has_the_response_of_rfc_6750_and_a_problem_document(
    error, status, code, headers
):
    refusal = build_refusal_response(error)
    assert refusal.status == status
    assert refusal.headers == {**headers, "Content-Type": "application/problem+json"}
    problem = json.loads(refusal.body)
    assert problem == {
        "type": f"urn:tokensvc:problem:{code}",
        "title": error.public_message,
        "status": status,
        "code": code,
    }
    assert error.reason == code or error.reason not in refusal.body.decode() + str(refusal.headers)


def test_a_token_must_have_every_capability_that_is_needed():
    authorize(AcceptsAll(), ["Bearer t.o.k"], ("a:b", "c:d"))
    with pytest.raises(InsufficientScopeError) as refusal:
        authorize(AcceptsAll(), ["Bearer t.o.k"], ("a:b", "e:f"))
    assert refusal.value.needed == "a:b e:f"


def test_a_good_header_gives_the_claims_of_its_token():
    issuer = FakeIssuer()
    token = issuer.token(scope="orders:read", sub="acct_me")
    claims = authorize(issuer.verifier(), [f"Bearer {token}"], ["orders:read"])
    assert (claims.sub, claims.scope) == ("acct_me", ("orders:read",))
