"""Each check of a verifier by itself, for people who look at a token."""

from __future__ import annotations

import base64
import json

import pytest
from tests.factories import ISSUER, NOW, make_claims, make_signing_key

from tokensvc.core.claims import build_payload
from tokensvc.core.token import read_unverified, sign_jws
from tokensvc.core.token_checks import list_checks

SIGNER, KEY, _ = make_signing_key()
PAYLOAD = build_payload(make_claims())


def check(text, *, key=KEY, now=0.0):
    """Return what did not pass, by the name of the check."""
    payload = read_unverified(text)[1]
    at = NOW.timestamp() + now
    found = list_checks(text, payload, key=key, issuer=ISSUER, now=at)
    return {each.name: (each.state, each.detail) for each in found if each.state != "passed"}


def sign(payload=PAYLOAD, typ="at+jwt", **changes):
    return sign_jws({**payload, **changes}, typ=typ, key=SIGNER)


def encode(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_token_of_ours_passes_everything():
    assert check(sign()) == {}


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        (sign(typ="logout+jwt"), "type", "It is 'logout+jwt', and must be at+jwt."),
        (sign(iss="https://other"), "issuer", "It names 'https://other', and this service is"),
        (sign(aud=["a", "b"]), "audience", "It must be one name, and not a list."),
        (sign(scope=7), "claims", "scope is missing, or not as we write it."),
        (sign(cnf={"jkt": "x"}), "claims", "It is bound to a key (cnf)"),
        (sign(exp=int(NOW.timestamp()) - 5), "time", "It expired 5 s ago."),
        (sign(nbf=int(NOW.timestamp()) + 90), "time", "It begins only in 90 s."),
        (sign()[:-8] + "AAAAAAAA", "signature", "it was changed, or made up"),
    ],
)
def test_each_fault_is_found_by_the_check_that_it_belongs_to(text, name, said):
    state, detail = check(text)[name]
    assert state == "failed"
    assert said in detail


def test_checks_that_need_others_are_skipped_and_nothing_raises():
    foreign = f"{encode({'alg': 'HS256', 'typ': 'JWT'})}.{encode({'sub': 'a'})}.AAAA"
    found = check(foreign)
    assert found["header"][0] == "failed"
    assert found["signature"][0] == found["time"][0] == "skipped"
    assert found["issuer"][1].startswith("It names no issuer, and this service is")
    assert found["audience"] == ("failed", "It names none.")
    crit = {"alg": "ES256", "typ": "at+jwt", "kid": SIGNER.kid, "crit": ["x"]}
    assert "extension" in check(f"{encode(crit)}.{encode(PAYLOAD)}.AAAA")["header"][1]
    symmetric = {"alg": "HS256", "typ": "at+jwt", "kid": SIGNER.kid}
    found = check(f"{encode(symmetric)}.{encode(PAYLOAD)}.AAAA")
    assert found["algorithm"][0] == "failed"
    assert "It is 'HS256', and must be one of ES256" in found["algorithm"][1]
    unknown = check(sign(), key=None)
    assert (unknown["signing_key"][0], unknown["signature"][0]) == ("failed", "skipped")
    other = make_signing_key("RS256")[1]
    assert check(sign(), key=other)["algorithm"][0] == "failed"
    wild = check(sign(exp=10**40, iat=True, aud=None, iss={"a": 1}))
    assert wild["time"][0] == "skipped"


def test_a_plain_token_passes_too():
    assert "type" not in check(sign(typ="JWT"))
