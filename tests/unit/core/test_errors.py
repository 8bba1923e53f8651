from __future__ import annotations

import pytest

from tokensvc.core import errors

BEARER = [
    (errors.MissingTokenError(), 401, "missing_token", {"WWW-Authenticate": "Bearer"}),
    (errors.MalformedAuthorizationError("two_authorization_headers"), 400, "invalid_request", None),
    (errors.InvalidTokenError("bad_signature"), 401, "invalid_token", None),
    (
        errors.VerifierUnavailableError("no_keys"),
        503,
        "temporarily_unavailable",
        {"Retry-After": "5"},
    ),
    (errors.InsufficientScopeError("a b"), 403, "insufficient_scope", None),
]


@pytest.mark.parametrize(
    ("error", "status", "code", "headers"), BEARER, ids=lambda value: getattr(value, "code", "")
)
def test_a_bearer_error_carries_the_answer_of_rfc_6750(error, status, code, headers):
    assert (error.status, error.code) == (status, code)
    if headers is not None:
        assert error.headers == headers
    else:
        assert error.headers["WWW-Authenticate"].startswith(
            f'Bearer error="{code}", error_description="'
        )


def test_a_lack_of_scope_names_the_scope_that_would_do():
    error = errors.InsufficientScopeError("orders:read orders:write")
    assert error.headers["WWW-Authenticate"].endswith(', scope="orders:read orders:write"')
    assert error.needed == "orders:read orders:write"


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidTokenError("bad_signature"),
        errors.InvalidClientError("revoked"),
        errors.InvalidSubjectTokenError("suspended"),
        errors.VerifierUnavailableError("denylist_stale"),
    ],
    ids=lambda error: error.code,
)
def test_the_reason_stays_inside(error):
    assert error.reason not in str(error)
    assert error.reason not in error.message
    assert error.reason not in str(getattr(error, "headers", ""))


def test_an_error_without_a_reason_gives_its_code():
    assert errors.NotFoundError("there is no such key").reason == "not_found"
    assert errors.UnavailableError("later", retry_after=7).retry_after == 7
    assert errors.OutcomeUnknownError("perhaps").retry_after == 1


def test_every_error_has_a_code_and_one_root():
    def below(kind: type[errors.TokensvcError]) -> list[type[errors.TokensvcError]]:
        ours = [child for child in kind.__subclasses__() if child.__name__ in errors.__all__]
        return [kind, *(deeper for child in ours for deeper in below(child))]

    assert all(kind.code.replace("_", "").isalpha() for kind in below(errors.TokensvcError))
    assert {kind.code for kind in below(errors.OAuthError)} == {
        "invalid_request",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_target",
        "invalid_client",
        "rate_limit_exceeded",
    }
