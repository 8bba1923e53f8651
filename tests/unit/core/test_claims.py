from __future__ import annotations

import json

import pytest
from tests.factories import ISSUER, NOW, make_claims, seconds

from tokensvc.core.claims import build_payload, build_payload_text, check_claims, parse_extra
from tokensvc.core.errors import InvalidTokenError
from tokensvc.core.identifier import Jti, Kid

T = seconds(NOW)
CLAIMS = ("iss", "sub", "aud", "iat", "exp", "jti", "client_id", "scope")


def check(payload, *, now=float(T), leeway=0.0, audiences=frozenset({"api"})):
    return check_claims(payload, issuer=ISSUER, audiences=audiences, now=now, leeway=leeway)


@pytest.mark.parametrize(("origin_jti", "origin_kid"), [(None, None), (Jti("origin"), Kid("kid"))])
def test_what_is_built_is_what_is_read(origin_jti, origin_kid):
    claims = make_claims(origin_jti=origin_jti, origin_kid=origin_kid)
    payload = json.loads(json.dumps(build_payload(claims)))
    assert check(payload) == claims
    assert ("origin_jti" in payload) == ("origin_kid" in payload) == (origin_jti is not None)


@pytest.mark.parametrize("origin_jti", [None, Jti("origin")])
@pytest.mark.parametrize("aud", ["api", 'a "quoted" name', "https://a.example/ü?a=1&b"])
@pytest.mark.parametrize("scope", [(), ("a",), ("a", "b:c")])
def test_the_text_of_a_payload_is_its_json_whatever_was_written_before(origin_jti, aud, scope):
    for jti in (Jti("One1"), Jti("Two2")):
        claims = make_claims(origin_jti=origin_jti, aud=aud, scope=scope, jti=jti)
        text = json.dumps(build_payload(claims), separators=(",", ":"))
        assert build_payload_text(claims) == text.encode("ascii")


@pytest.mark.parametrize("kept", ['{"team": "a", "n": [1, 2]}', '{"iss": "x", "\u00fc": null}'])
def test_own_claims_stand_in_the_text_as_in_the_payload(kept):
    for jti in (Jti("One1"), Jti("Two2")):
        claims = make_claims(extra=parse_extra(kept), jti=jti)
        text = json.dumps(build_payload(claims), separators=(",", ":")).encode("ascii")
        assert build_payload_text(claims, kept) == build_payload_text(claims) == text


def test_a_token_has_exactly_the_claims_of_rfc_9068():
    assert set(build_payload(make_claims())) == set(CLAIMS)


def test_claims_tell_whether_they_carry_all_of_some_capabilities():
    claims = make_claims(scope=("a", "b"))
    assert claims.has()
    assert claims.has("a")
    assert claims.has("a", "b")
    assert not claims.has("a", "c")


HUGE = 10**400
WRONG = {
    "iss of another": ({"iss": "http://other.example"}, "wrong_issuer"),
    "iss prefix": ({"iss": ISSUER[:-1]}, "wrong_issuer"),
    "iss with slash": ({"iss": ISSUER + "/"}, "wrong_issuer"),
    "iss array": ({"iss": [ISSUER]}, "wrong_issuer"),
    "iss null": ({"iss": None}, "wrong_issuer"),
    "aud of another": ({"aud": "billing"}, "wrong_audience"),
    "aud substring": ({"aud": "ap"}, "wrong_audience"),
    "aud longer": ({"aud": "api2"}, "wrong_audience"),
    "aud case": ({"aud": "API"}, "wrong_audience"),
    "aud slash": ({"aud": "api/"}, "wrong_audience"),
    "aud array": ({"aud": ["api"]}, "bad_claim_aud"),
    "aud empty": ({"aud": ""}, "bad_claim_aud"),
    "aud number": ({"aud": 1}, "bad_claim_aud"),
    "cnf": ({"cnf": {"jkt": "x"}}, "unknown_confirmation"),
    "cnf null": ({"cnf": None}, "unknown_confirmation"),
    "exp past": ({"exp": T - 1}, "expired"),
    "exp this very second": ({"exp": T}, "expired"),
    "exp zero": ({"exp": 0}, "expired"),
    "exp negative": ({"exp": -(10**9)}, "expired"),
    "exp text": ({"exp": str(T + 600)}, "bad_claim_exp"),
    "exp null": ({"exp": None}, "bad_claim_exp"),
    "exp true": ({"exp": True}, "bad_claim_exp"),
    "exp NaN": ({"exp": float("nan")}, "bad_claim_exp"),
    "exp infinite": ({"exp": float("inf")}, "bad_claim_exp"),
    "exp list": ({"exp": [T + 600]}, "bad_claim_exp"),
    "exp beyond all floats": ({"exp": HUGE}, "bad_claim_exp"),
    "iat beyond all floats": ({"iat": HUGE}, "bad_claim_iat"),
    "nbf beyond all floats": ({"nbf": HUGE}, "bad_claim_nbf"),
    "iat future": ({"iat": T + 1}, "not_yet_valid"),
    "iat text": ({"iat": str(T)}, "bad_claim_iat"),
    "nbf future": ({"nbf": T + 1}, "not_yet_valid"),
    "nbf text": ({"nbf": "now"}, "bad_claim_nbf"),
    "nbf null": ({"nbf": None}, "bad_claim_nbf"),
    "sub number": ({"sub": 7}, "bad_claim_sub"),
    "jti empty": ({"jti": ""}, "bad_claim_jti"),
    "client_id list": ({"client_id": ["key_x"]}, "bad_claim_client_id"),
    "scope list": ({"scope": ["orders:read"]}, "bad_claim_scope"),
    "origin_jti null": ({"origin_jti": None}, "bad_claim_origin_jti"),
    "origin_jti number": ({"origin_jti": 1}, "bad_claim_origin_jti"),
    "origin_kid number": ({"origin_kid": 1}, "bad_claim_origin_kid"),
}


@pytest.mark.parametrize(("changes", "reason"), WRONG.values(), ids=WRONG)
def test_a_wrong_claim_is_refused_with_its_reason(changes, reason):
    with pytest.raises(InvalidTokenError) as refusal:
        check(build_payload(make_claims()) | changes)
    assert refusal.value.reason == reason


@pytest.mark.parametrize("name", CLAIMS)
def test_a_missing_claim_is_refused(name):
    payload = build_payload(make_claims())
    del payload[name]
    with pytest.raises(InvalidTokenError) as refusal:
        check(payload)
    assert refusal.value.reason == ("wrong_issuer" if name == "iss" else f"bad_claim_{name}")


@pytest.mark.parametrize(
    ("now", "leeway", "reason"),
    [
        (T + 599.9, 0, None),
        (T + 600, 0, "expired"),
        (T + 629.9, 30, None),
        (T + 630, 30, "expired"),
        (T - 0.1, 0, "not_yet_valid"),
        (T - 30, 30, None),
        (T - 30.1, 30, "not_yet_valid"),
    ],
)
def test_a_token_lives_from_iat_to_exp_give_or_take_the_leeway(now, leeway, reason):
    payload = build_payload(make_claims())
    if reason is None:
        assert check(payload, now=now, leeway=leeway)
    else:
        with pytest.raises(InvalidTokenError) as refusal:
            check(payload, now=now, leeway=leeway)
        assert refusal.value.reason == reason


def test_fractions_of_a_second_are_rounded_down():
    claims = check(build_payload(make_claims()) | {"iat": T + 0.0, "exp": T + 5.9, "nbf": T - 10.5})
    assert (claims.iat, claims.exp) == (T, T + 5)


def test_the_issuer_takes_its_own_tokens_for_any_audience():
    assert check(build_payload(make_claims(aud="billing")), audiences=None).aud == "billing"
    with pytest.raises(InvalidTokenError):
        check(build_payload(make_claims()) | {"aud": ["billing"]}, audiences=None)


def test_claims_of_one_token_are_one_in_a_set_also_with_own_claims():
    one = make_claims(jti=Jti("One1"), extra={"teams": ["a"]})
    same = make_claims(jti=Jti("One1"), extra={"teams": ["a"]})
    other = make_claims(jti=Jti("Two2"), extra={"teams": ["a"]})
    assert {one, same, other} == {one, other}
    assert len({one, same, other}) == 2
