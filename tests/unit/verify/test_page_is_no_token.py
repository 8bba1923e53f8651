"""A page of the feed is signed like a token, and no library that is told an audience takes it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jwt as jwcrypto_jwt

from tokensvc.verify import InvalidTokenError
from tokensvc.verify.testing import AUDIENCE, FakeIssuer

if TYPE_CHECKING:
    from collections.abc import Callable


def by_pyjwt(text: str, jwk: dict[str, str]) -> Any:
    return jwt.decode(text, jwt.PyJWK(jwk), algorithms=["ES256"], audience=AUDIENCE)


def by_joserfc(text: str, jwk: dict[str, str]) -> Any:
    token = joserfc_jwt.decode(text, joserfc_jwk.import_key({**jwk}), algorithms=["ES256"])
    joserfc_jwt.JWTClaimsRegistry(aud={"value": AUDIENCE}).validate(token.claims)
    return token.claims


def by_authlib(text: str, jwk: dict[str, str]) -> Any:
    # Authlib shows its own warning whatever the filters say, so it is recorded here.
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        from authlib.jose import JsonWebToken  # noqa: PLC0415 - warns when it is imported
    options = {"aud": {"value": AUDIENCE}}
    claims = JsonWebToken(["ES256"]).decode(text, jwk, claims_options=options)
    claims.validate()
    return claims


def by_jwcrypto(text: str, jwk: dict[str, str]) -> Any:
    key = jwcrypto_jwk.JWK(**jwk)
    return jwcrypto_jwt.JWT(jwt=text, key=key, check_claims={"aud": AUDIENCE}).claims


LIBRARIES: dict[str, Callable[[str, dict[str, str]], Any]] = {
    "PyJWT": by_pyjwt,
    "joserfc": by_joserfc,
    "Authlib": by_authlib,
    "jwcrypto": by_jwcrypto,
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("verify", LIBRARIES.values(), ids=LIBRARIES)
def test_t7_a_page_is_no_token_for_a_library_that_knows_its_audience(verify):
    issuer = FakeIssuer()
    (jwk,) = issuer.published
    assert verify(issuer.token(), jwk)
    with pytest.raises(Exception, match=r"(?i)aud"):
        verify(issuer.page(), jwk)


def test_t7_a_page_is_no_token_for_our_verifier_whatever_its_audience_is_called():
    issuer = FakeIssuer()
    for audience in (AUDIENCE, "tokensvc:denylist"):
        with pytest.raises(InvalidTokenError) as refusal:
            issuer.verifier(audience=audience).verify(issuer.page())
        assert refusal.value.reason == "wrong_type"
