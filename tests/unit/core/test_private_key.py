from __future__ import annotations

import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from tests.factories import make_signing_key

from tokensvc.core.algorithm import ALGORITHMS
from tokensvc.core.errors import InvalidInputError
from tokensvc.core.jwks import build_public_jwk, fits
from tokensvc.core.private_key import (
    build_private_pem,
    build_public_pem,
    new_private_key,
    parse_private_key,
)

PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
OLDER_FORM = serialization.PrivateFormat.TraditionalOpenSSL  # PKCS#1 for RSA, SEC 1 for EC
OPEN = serialization.NoEncryption()


def pem(key, form=PKCS8, encryption=OPEN):
    return key.private_bytes(PEM, form, encryption)


def jwk(key, alg):
    return jwt.get_algorithm_by_name(alg).to_jwk(key, as_dict=True)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_new_key_fits_its_algorithm(alg):
    assert fits(alg, new_private_key(alg).public_key())


def test_the_kid_of_a_new_key_can_be_typed_on_a_command_line():
    kids = [
        build_public_jwk("ES256", new_private_key("ES256").public_key())["kid"] for _ in range(500)
    ]
    assert not [kid for kid in kids if kid.startswith("-")]


def test_rsa_keys_are_made_with_3072_bits():
    assert getattr(new_private_key("RS256"), "key_size", None) == 3072


@pytest.mark.parametrize(
    ("alg", "form"),
    [*((alg, PKCS8) for alg in ALGORITHMS), ("ES256", OLDER_FORM), ("RS256", OLDER_FORM)],
    ids=["ES256", "EdDSA", "RS256", "ES256 in SEC 1", "RS256 in PKCS#1"],
)
def test_a_private_key_is_read_from_pem(alg, form):
    key = new_private_key(alg)
    parsed_alg, parsed = parse_private_key(pem(key, form))
    assert (parsed_alg, pem(parsed)) == (alg, pem(key))


@pytest.mark.parametrize(
    ("alg", "named"),
    [
        ("ES256", "ES256"),
        ("EdDSA", "EdDSA"),
        ("EdDSA", "Ed25519"),
        ("RS256", "RS256"),
        ("RS256", None),
    ],
)
def test_a_private_key_is_read_from_a_jwk(alg, named):
    key = new_private_key(alg)
    members = {**jwk(key, alg), "alg": named}
    if named is None:
        del members["alg"]
    parsed_alg, parsed = parse_private_key(json.dumps(members).encode())
    assert (parsed_alg, pem(parsed)) == (alg, pem(key))


def test_a_private_key_is_written_as_pem():
    key, _, _ = make_signing_key()
    assert build_private_pem(key) == pem(key.private_key)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_public_jwk_is_written_as_pem(alg):
    key, verifying, _ = make_signing_key(alg)
    public_pem = build_public_pem(verifying.key)
    assert public_pem.startswith(b"-----BEGIN PUBLIC KEY-----")
    assert serialization.load_pem_public_key(public_pem) == key.private_key.public_key()


EC_KEY, RSA_KEY = new_private_key("ES256"), rsa.generate_private_key(65537, 2048)
UNUSABLE = {
    "weak RSA": pem(rsa.generate_private_key(65537, 1024)),
    "another curve": pem(ec.generate_private_key(ec.SECP384R1())),
    "another kind": pem(ed448.Ed448PrivateKey.generate()),
    "encrypted": pem(EC_KEY, encryption=serialization.BestAvailableEncryption(b"x")),
    "junk": b"junk",
    "a public key": build_public_pem(EC_KEY.public_key()),
    "a public JWK": json.dumps(jwk(EC_KEY.public_key(), "ES256")).encode(),
    "a JWK for another algorithm": json.dumps({**jwk(RSA_KEY, "RS256"), "alg": "PS256"}).encode(),
    "a JWK for encryption": json.dumps({**jwk(EC_KEY, "ES256"), "use": "enc"}).encode(),
    "a JWK that signs nothing": json.dumps(
        {**jwk(EC_KEY, "ES256"), "key_ops": ["deriveKey"]}
    ).encode(),
    "a JWK of no kind": b'{"kty": "oct", "k": "AAAA", "d": "x"}',
    "JSON that is no JWK": b'{"d": 1}',
    "half a JWK": b'{"kty": "EC", "d": "AA"',
    "a JWK with junk in it": b'{"kty": "EC", "crv": "P-256", "x": "!", "y": "!", "d": "!"}',
}


@pytest.mark.parametrize("text", UNUSABLE.values(), ids=UNUSABLE)
def test_a_key_that_cannot_sign_is_refused_without_being_shown(text):
    with pytest.raises(InvalidInputError) as refusal:
        parse_private_key(text)
    assert "AAAA" not in refusal.value.message
    assert text.decode() not in refusal.value.message
