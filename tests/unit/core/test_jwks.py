from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from tests.factories import make_signing_key

from tokensvc.core.algorithm import ALGORITHMS
from tokensvc.core.jwks import (
    build_jwks,
    build_public_jwk,
    fits,
    is_kid,
    parse_jwks,
    parse_public_jwk,
    thumbprint,
)
from tokensvc.core.private_key import new_private_key

# The example of RFC 7638 section 3.1.
RFC_7638 = {
    "kty": "RSA",
    "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_B"
    "JECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Qv"
    "zqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu"
    "0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}
# The example of RFC 8037 appendix A.3.
RFC_8037 = {
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}

JWKS = {alg: make_signing_key(alg)[2] for alg in ALGORITHMS}
EC = JWKS["ES256"]


def document(*jwks):
    return json.dumps({"keys": jwks}).encode()


def test_a_thumbprint_is_that_of_rfc_7638():
    assert thumbprint(RFC_7638) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_a_thumbprint_of_ed25519_is_that_of_rfc_8037():
    assert thumbprint(RFC_8037) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_thumbprint_looks_only_at_the_required_members():
    assert thumbprint(EC) == EC["kid"]
    assert thumbprint(EC | {"use": "enc", "kid": "other", "extra": "x"}) == EC["kid"]
    assert thumbprint(EC | {"x": EC["y"]}) != thumbprint(EC)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_public_jwk_holds_the_public_half_and_names_its_use(alg):
    jwk = JWKS[alg]
    members = {"ES256": {"crv", "x", "y"}, "EdDSA": {"crv", "x"}, "RS256": {"n", "e"}}[alg]
    assert set(jwk) == {"kty", "alg", "use", "kid"} | members
    assert (jwk["alg"], jwk["use"], jwk["kid"]) == (alg, "sig", thumbprint(jwk))
    assert parse_public_jwk(jwk).alg == alg


def test_ec_coordinates_are_always_32_bytes():
    for _ in range(300):  # one key in 128 begins with a zero byte
        jwk = build_public_jwk("ES256", ec.generate_private_key(ec.SECP256R1()).public_key())
        assert len(jwk["x"]) == len(jwk["y"]) == 43


def test_ec_keys_stand_before_the_others_and_keep_their_order():
    other = make_signing_key("ES256")[2]
    published = json.loads(build_jwks([JWKS["RS256"], JWKS["EdDSA"], EC, other]))
    kids = [jwk["kid"] for jwk in published["keys"]]
    assert kids == [EC["kid"], other["kid"], JWKS["EdDSA"]["kid"], JWKS["RS256"]["kid"]]


def test_what_is_published_can_be_read_back():
    keys = parse_jwks(build_jwks(JWKS.values()))
    assert {key.alg for key in keys.values()} == set(ALGORITHMS)
    assert all(kid == key.kid for kid, key in keys.items())
    assert parse_jwks(b'{"keys":[],"more":1}') == {}


def without(name: str) -> dict[str, str]:
    return {member: value for member, value in EC.items() if member != name}


def text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def number(value: int) -> str:
    return text(value.to_bytes((value.bit_length() + 7) // 8 or 1))


WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key().public_numbers()
P384 = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
ED448 = ed448.Ed448PrivateKey.generate().public_key().public_bytes_raw()

UNUSABLE = {
    "no object": "text",
    "null": None,
    "list": [EC],
    "no kid": without("kid"),
    "kid number": EC | {"kid": 7},
    "kid path": EC | {"kid": "../../etc/passwd"},
    "kid too long": EC | {"kid": "k" * 65},
    "kid empty": EC | {"kid": ""},
    "for encryption": EC | {"use": "enc"},
    "use list": EC | {"use": ["sig"]},
    "private half": EC | {"d": EC["x"]},
    "no alg": without("alg"),
    "alg none": EC | {"alg": "none"},
    "alg HS256": {"kty": "oct", "k": "c2VjcmV0", "kid": "hmac", "alg": "HS256"},
    "alg list": EC | {"alg": ["ES256"]},
    "alg of another kind": EC | {"alg": "RS256"},
    "alg of another kind of key": JWKS["RS256"] | {"alg": "ES256"},
    "kty oct as ES256": {"kty": "oct", "k": "c2VjcmV0", "kid": "hmac", "alg": "ES256"},
    "kty unknown": EC | {"kty": "AKP"},
    "kty list": EC | {"kty": ["EC"]},
    "kty missing": without("kty"),
    "crv P-384 name": EC | {"crv": "P-384"},
    "crv list": EC | {"crv": ["P-256"]},
    "P-384 as ES256": {
        "kty": "EC",
        "crv": "P-384",
        "x": number(P384.x),
        "y": number(P384.y),
        "kid": "p384",
        "alg": "ES256",
    },
    "secp256k1 name": EC | {"crv": "secp256k1"},
    "point off the curve": EC | {"y": EC["x"]},
    "x too short": EC | {"x": EC["x"][:-4]},
    "x number": EC | {"x": 5},
    "x null": EC | {"x": None},
    "x not base64": EC | {"x": "\u00e9" * 43},
    "x of one letter": EC | {"x": "a"},
    "y missing": without("y"),
    "Ed25519 too short": JWKS["EdDSA"] | {"x": JWKS["EdDSA"]["x"][:-4]},
    "Ed448": {"kty": "OKP", "crv": "Ed448", "x": text(ED448), "kid": "ed448", "alg": "EdDSA"},
    "RSA 1024": {"kty": "RSA", "n": number(WEAK.n), "e": "AQAB", "kid": "weak", "alg": "RS256"},
    "RSA n zero": JWKS["RS256"] | {"n": "AA"},
    "RSA e one": JWKS["RS256"] | {"e": "AQ"},
    "RSA e even": JWKS["RS256"] | {"e": "Ag"},
    "RSA n number": JWKS["RS256"] | {"n": 65537},
}


@pytest.mark.parametrize("entry", UNUSABLE.values(), ids=UNUSABLE)
def test_t18_an_unusable_key_is_left_out_and_the_rest_is_kept(entry):
    assert list(parse_jwks(document(entry, JWKS["EdDSA"]))) == [JWKS["EdDSA"]["kid"]]
    with pytest.raises(ValueError, match="not a usable public JWK"):
        parse_public_jwk(entry)


def test_t42_one_of_our_own_keys_has_its_thumbprint_as_kid():
    with pytest.raises(ValueError, match="not its thumbprint"):
        parse_public_jwk(EC | {"kid": "another"})


def test_unknown_members_are_ignored():
    more = {"x5u": "http://evil.example", "key_ops": ["verify"], "extra": [1]}
    assert list(parse_jwks(document(EC | more))) == [EC["kid"]]


NO_JWKS = {
    "nothing": b"",
    "text": b"<html>",
    "array": b"[]",
    "null": b"null",
    "no keys": b"{}",
    "keys is an object": b'{"keys": {}}',
    "101 keys": json.dumps({"keys": [{}] * 101}).encode(),
    "10,000 keys": json.dumps({"keys": [{}] * 10_000}).encode(),
    "bad UTF-8": b'{"keys": ["\xff\xfe"]}',
    "truncated": build_jwks([EC])[:-5],
    "nested 100,000 deep": b'{"keys":' + b"[" * 100_000,
}


@pytest.mark.parametrize("text", NO_JWKS.values(), ids=NO_JWKS)
def test_t16_what_is_no_jwks_is_refused_as_a_whole(text):
    with pytest.raises(ValueError):  # noqa: PT011 - the message is json's own for some
        parse_jwks(text)


def test_t18_one_kid_for_two_keys_is_refused():
    other = make_signing_key("ES256")[2]
    with pytest.raises(ValueError, match="one kid twice"):
        parse_jwks(document(EC, other | {"kid": EC["kid"]}))


def test_a_hundred_keys_are_taken():
    assert len(parse_jwks(document(*[EC | {"kid": f"k{n}"} for n in range(100)]))) == 100


@pytest.mark.parametrize(
    ("value", "good"),
    [
        *((good, True) for good in ("a", "A-z_9", "k" * 64)),
        *((bad, False) for bad in ("k" * 65, "", "a\n", "a.b", "\u00e9", None, 7, ["a"], b"a")),
    ],
)
def test_a_kid_is_one_to_64_letters_of_base64url(value, good):
    assert is_kid(value) is good


def test_t2_each_algorithm_fits_one_kind_of_key_only():
    keys = {
        "ES256": new_private_key("ES256").public_key(),
        "EdDSA": new_private_key("EdDSA").public_key(),
        "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key(),
        "P-384": ec.generate_private_key(ec.SECP384R1()).public_key(),
        "RSA 1024": WEAK.public_key(),
        "private": ed25519.Ed25519PrivateKey.generate(),
        "bytes": b"secret",
    }
    fitting = {
        (alg, name)
        for alg in (*ALGORITHMS, "none", "HS256")
        for name, key in keys.items()
        if fits(alg, key)
    }
    assert fitting == {("ES256", "ES256"), ("EdDSA", "EdDSA"), ("RS256", "RS256")}
