from __future__ import annotations

from dataclasses import replace

import pytest
from tests.factories import (
    ISSUER,
    NOW,
    make_claims,
    make_signing_key,
    make_signing_key_record,
    seconds,
)

from tokensvc.core.audience import OWN_AUDIENCES
from tokensvc.core.claims import build_payload
from tokensvc.core.errors import InvalidTokenError
from tokensvc.core.token import parse_unverified, sign_jws
from tokensvc.core.verification import check_own_token, check_token, find_public_key

T = seconds(NOW)
SIGNING, VERIFYING, JWK = make_signing_key()
RECORD = make_signing_key_record(SIGNING.kid, public_jwk=JWK, active_at=NOW)
CLAIMS = make_claims()
TOKEN = parse_unverified(sign_jws(build_payload(CLAIMS), typ="at+jwt", key=SIGNING))


def check(*, key=VERIFYING, algorithms=("ES256",), audiences=frozenset({"api"}), now=T, leeway=0):
    return check_token(
        TOKEN,
        key=key,
        algorithms=algorithms,
        issuer=ISSUER,
        audiences=audiences,
        now=now,
        leeway=leeway,
    )


def test_a_good_token_gives_its_claims():
    assert check() == CLAIMS


def test_a_plain_token_is_ours_but_never_for_calls_to_the_service_itself():
    def sign(audience):
        claims = make_claims(aud=audience)
        return claims, parse_unverified(sign_jws(build_payload(claims), typ="JWT", key=SIGNING))

    claims, token = sign("orders")
    assert check_own_token(token, [RECORD], issuer=ISSUER, now=T) == claims
    for audience in OWN_AUDIENCES:
        with pytest.raises(InvalidTokenError) as refusal:
            check_own_token(sign(audience)[1], [RECORD], issuer=ISSUER, now=T)
        assert refusal.value.reason == "wrong_type"


def test_no_audience_means_any_audience():
    assert check(audiences=None) == CLAIMS


def test_a_token_that_was_good_once_is_judged_anew_each_time():
    for _ in range(2):
        assert check_own_token(TOKEN, [RECORD], issuer=ISSUER, now=T) == CLAIMS
    revoked = replace(RECORD, revoked_at=NOW)
    for records, now, reason in (
        ([RECORD], T + 600, "expired"),
        ([revoked], T, "unknown_kid"),
        ([], T, "unknown_kid"),
    ):
        with pytest.raises(InvalidTokenError) as refusal:
            check_own_token(TOKEN, records, issuer=ISSUER, now=now)
        assert refusal.value.reason == reason


def test_another_signature_is_not_good_because_the_first_one_was():
    assert check_own_token(TOKEN, [RECORD], issuer=ISSUER, now=T) == CLAIMS
    head, payload, signature = TOKEN.text.split(".")
    other = signature[:-2] + ("AA" if signature[-2:] != "AA" else "BA")
    forged = parse_unverified(f"{head}.{payload}.{other}")
    with pytest.raises(InvalidTokenError) as refusal:
        check_own_token(forged, [RECORD], issuer=ISSUER, now=T)
    assert refusal.value.reason == "bad_signature"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"key": None}, "unknown_kid"),
        ({"algorithms": ("EdDSA",)}, "algorithm_not_allowed"),
        ({"audiences": frozenset({"billing", "ap"})}, "wrong_audience"),
        ({"now": T + 600}, "expired"),
    ],
    ids=["no key", "another algorithm", "another audience", "too late"],
)
def test_signature_and_claims_are_both_checked(changes, reason):
    with pytest.raises(InvalidTokenError) as refusal:
        check(**changes)
    assert refusal.value.reason == reason


def test_a_token_of_our_own_is_checked_with_the_signing_key_that_it_names():
    others = [make_signing_key_record("other"), RECORD]
    assert check_own_token(TOKEN, others, issuer=ISSUER, now=T) == CLAIMS


@pytest.mark.parametrize(
    "records", [[], [replace(RECORD, revoked_at=NOW)]], ids=["unknown", "revoked"]
)
def test_a_token_of_our_own_is_refused_if_its_signing_key_is_not_trusted(records):
    with pytest.raises(InvalidTokenError) as refusal:
        check_own_token(TOKEN, records, issuer=ISSUER, now=T)
    assert refusal.value.reason == "unknown_kid"


def test_a_token_of_our_own_has_no_leeway_unless_it_is_asked_for():
    with pytest.raises(InvalidTokenError):
        check_own_token(TOKEN, [RECORD], issuer=ISSUER, now=T + 600)
    assert check_own_token(TOKEN, [RECORD], issuer=ISSUER, now=T + 600, leeway=1) == CLAIMS


@pytest.mark.parametrize(
    "public_jwk",
    [
        make_signing_key()[2],
        make_signing_key()[2] | {"kid": SIGNING.kid},
        JWK | {"alg": "RS256"},
        {},
        ["x"],
        {"kid": [1]},
    ],
    ids=["of another key", "another key under this kid", "unusable", "empty", "a list", "nested"],
)
def test_t42_a_row_whose_public_key_is_not_the_one_of_its_kid_verifies_nothing(public_jwk):
    changed = replace(RECORD, public_jwk=public_jwk)
    assert find_public_key(RECORD) == VERIFYING
    assert find_public_key(changed) is None
    with pytest.raises(InvalidTokenError) as refusal:
        check_own_token(TOKEN, [changed], issuer=ISSUER, now=T)
    assert refusal.value.reason == "unknown_kid"
