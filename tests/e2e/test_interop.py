"""Libraries that know nothing of us verify tokens of every algorithm, from one JWKS.

What is forged or for somebody else they refuse. Libraries for Node: tests/soak/test_node.py.
"""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jwt as jwcrypto_jwt

from tests.e2e.calls import jwks
from tests.e2e.interop import (
    ALGORITHMS,
    Case,
    Target,
    decode_json,
    make_cases,
    start_with_every_algorithm,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from testbed.processes import ServiceProcess

KINDS = {"ES256": ("EC", "P-256"), "EdDSA": ("OKP", "Ed25519"), "RS256": ("RSA", None)}


@dataclass(frozen=True)
class Library:
    """How a Python library verifies: it returns header and claims, or raises.

    `forged` and `for_others`: its reasons for a refusal, as regular expressions.
    """

    verify: Callable[[str, Target], tuple[dict[str, Any], dict[str, Any]]]
    forged: str
    for_others: str


@pytest.fixture(scope="module")
def process(
    new_shared_process: Callable[..., ServiceProcess],
    shared_database_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> ServiceProcess:
    keys = str(tmp_path_factory.mktemp("keys"))
    return start_with_every_algorithm(new_shared_process, shared_database_url, keys)


@pytest.fixture(scope="module")
def cases(process: ServiceProcess) -> dict[str, Case]:
    return make_cases(process)


def verify_with_pyjwt(token: str, target: Target) -> tuple[dict[str, Any], dict[str, Any]]:
    key = jwt.PyJWKClient(target.jwks_url).get_signing_key_from_jwt(token)
    whole = jwt.decode_complete(
        token, key, algorithms=[target.alg], audience=target.audience, issuer=target.issuer
    )
    return whole["header"], whole["payload"]


def verify_with_joserfc(token: str, target: Target) -> tuple[dict[str, Any], dict[str, Any]]:
    keys = joserfc_jwk.KeySet.import_key_set(json.loads(jwks(target.issuer)))
    with warnings.catch_warnings():
        # RFC 9864 names it Ed25519; few libraries know that name
        warnings.filterwarnings("ignore", "EdDSA is deprecated via RFC 9864")
        verified = joserfc_jwt.decode(token, keys, algorithms=[target.alg])
    wanted: Any = {
        "iss": {"essential": True, "value": target.issuer},
        "aud": {"essential": True, "value": target.audience},
    }
    joserfc_jwt.JWTClaimsRegistry(**wanted).validate(verified.claims)
    return verified.header, verified.claims


def verify_with_authlib(token: str, target: Target) -> tuple[dict[str, Any], dict[str, Any]]:
    # Authlib shows its own warning whatever the filters say, so it is recorded here.
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        from authlib.jose import JsonWebKey, JsonWebToken  # noqa: PLC0415 - it warns
    keys = JsonWebKey.import_key_set(json.loads(jwks(target.issuer)))
    wanted = {
        "iss": {"essential": True, "value": target.issuer},
        "aud": {"essential": True, "value": target.audience},
    }
    claims = JsonWebToken([target.alg]).decode(token, keys, claims_options=wanted)
    claims.validate()
    return claims.header, claims


def verify_with_jwcrypto(token: str, target: Target) -> tuple[dict[str, Any], dict[str, Any]]:
    key = jwcrypto_jwk.JWKSet.from_json(jwks(target.issuer)).get_key(
        jwt.get_unverified_header(token)["kid"]
    )
    wanted = {"iss": target.issuer, "aud": target.audience}
    verified = jwcrypto_jwt.JWT(jwt=token, key=key, algs=[target.alg], check_claims=wanted)
    return json.loads(verified.header), json.loads(verified.claims)


def refusal_of(library: Library, token: str, target: Target) -> str:
    try:
        library.verify(token, target)
    except Exception as error:  # noqa: BLE001 - each library has its own
        return f"{type(error).__name__}: {error}"
    return "none"


PYTHON = {
    "pyjwt": Library(verify_with_pyjwt, "InvalidSignatureError", "InvalidAudienceError"),
    "joserfc": Library(verify_with_joserfc, "BadSignatureError", "InvalidClaimError.*aud"),
    "authlib": Library(verify_with_authlib, "BadSignatureError", "InvalidClaimError.*aud"),
    "jwcrypto": Library(verify_with_jwcrypto, "InvalidJWSSignature", "JWTInvalidClaimValue.*'aud'"),
}


@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.parametrize("name", PYTHON)
def test_a_python_library_verifies_from_the_jwks(cases, name, alg):
    case, library = cases[alg], PYTHON[name]
    case.check(*library.verify(case.tokens.good, case.target))
    for token, reason in (
        (case.tokens.changed_claims, library.forged),
        (case.tokens.changed_signature, library.forged),
        (case.tokens.for_others, library.for_others),
    ):
        assert re.search(reason, refusal_of(library, token, case.target))


def test_one_jwks_holds_the_keys_of_every_algorithm_under_their_wire_names(process, cases):
    keys = {key["kid"]: key for key in json.loads(jwks(process.url))["keys"]}
    assert {key["alg"] for key in keys.values()} == set(ALGORITHMS)
    for alg, case in cases.items():
        for token in (case.tokens.good, case.tokens.for_others):
            header = decode_json(token.split(".")[0])
            key = keys[header["kid"]]
            assert header["alg"] == key["alg"] == alg
            assert (key["kty"], key.get("crv"), key["use"]) == (*KINDS[alg], "sig")
