"""A long JWS is checked in steps, and the verdict is the same as in one go."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tokensvc.core.errors import InvalidTokenError
from tokensvc.core.identifier import Kid
from tokensvc.core.jwks import VerifyingKey
from tokensvc.core.long_jws import check_signature_in_steps, parse_unverified_in_steps
from tokensvc.core.steps import run_steps
from tokensvc.core.token import SigningKey, check_signature, parse_unverified, sign_jws

TYP = "denylist+jwt"
ALGORITHMS = ("ES256", "EdDSA")
MOST = 2_000_000
LONG = {"entries": [{"jti": "ü" * 20, "exp": number} for number in range(2000)], "iss": "x"}
SIGNING = SigningKey(Kid("k" * 43), "ES256", ec.generate_private_key(ec.SECP256R1()))
KEY = VerifyingKey(SIGNING.kid, "ES256", SIGNING.private_key.public_key())
EDWARDS = SigningKey(Kid("e" * 43), "EdDSA", ed25519.Ed25519PrivateKey.generate())
TEXT = sign_jws(LONG, typ=TYP, key=SIGNING)
HEADER, PAYLOAD, SIGNATURE = TEXT.split(".")


def check(text, key=KEY, **wanted):
    wanted = {"typ": (TYP,), "algorithms": ALGORITHMS} | wanted
    token = run_steps(parse_unverified_in_steps(text, max_length=MOST))
    return run_steps(check_signature_in_steps(token, key=key, **wanted))


def find_reason(act):
    with pytest.raises(InvalidTokenError) as refused:
        act()
    return refused.value.reason


@pytest.mark.parametrize("payload", [LONG, {"iss": "x"}], ids=["long", "short"])
@pytest.mark.parametrize("signing", [SIGNING, EDWARDS], ids=["ES256", "EdDSA"])
def test_a_good_signature_gives_the_payload(payload, signing):
    key = VerifyingKey(signing.kid, signing.alg, signing.private_key.public_key())
    assert check(sign_jws(payload, typ=TYP, key=signing), key) == payload


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}.{PAYLOAD[:-8]}AAAAAAAA.{SIGNATURE}",
        f"{HEADER}.{PAYLOAD}.{SIGNATURE[:-8]}AAAAAAAA",
        f"{HEADER}.{PAYLOAD}.{SIGNATURE[:-4]}",
        f"{HEADER}.{PAYLOAD}.{SIGNATURE}A",
        f"{HEADER}.{PAYLOAD}.{SIGNATURE}AAA",
        f"{HEADER}.{PAYLOAD}.{SIGNATURE}!",
        f"{HEADER}.{PAYLOAD[:-8]}=AAAAAAA.{SIGNATURE}",
        f"{HEADER}.{PAYLOAD}",
        f"{HEADER}.{PAYLOAD}.",
        f".{PAYLOAD}.{SIGNATURE}",
        f"{HEADER}..{PAYLOAD}",
        f"{HEADER}.{PAYLOAD}.{SIGNATURE}.x",
        f"{HEADER}.{PAYLOAD}.{PAYLOAD * 4}",
        f"{PAYLOAD}.{HEADER}.{SIGNATURE}",
    ],
)
def test_what_is_wrong_is_refused_for_the_same_reason_as_in_one_go(text):
    def in_one_go():
        token = parse_unverified(text, max_length=MOST)
        check_signature(token, typ=(TYP,), algorithms=ALGORITHMS, key=KEY)

    assert find_reason(lambda: check(text)) == find_reason(in_one_go)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"typ": ("at+jwt",)}, "wrong_type"),
        ({"algorithms": ("EdDSA",)}, "algorithm_not_allowed"),
        ({"key": None}, "unknown_kid"),
    ],
)
def test_type_algorithm_and_key_are_checked(wanted, reason):
    assert find_reason(lambda: check(TEXT, **wanted)) == reason


@pytest.mark.parametrize("payload", [b'{"a":1', b"\xff{}", b"[1]"])
def test_a_signed_payload_that_is_no_object_is_refused(payload):
    from tokensvc.core.token import sign_jws_text  # noqa: PLC0415

    text = sign_jws_text(payload + b" " * 70_000, typ=TYP, key=SIGNING)
    assert find_reason(lambda: check(text)) == "malformed_token"
