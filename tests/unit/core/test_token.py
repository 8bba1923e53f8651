from __future__ import annotations

import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from tests.factories import make_signing_key
from tests.simulator import encode_part, unsigned_part

from tokensvc.core.algorithm import ALGORITHMS
from tokensvc.core.errors import InvalidTokenError
from tokensvc.core.jwks import VerifyingKey
from tokensvc.core.token import (
    ACCESS_TOKEN,
    DENYLIST_PAGE,
    _proved_headers,
    check_signature,
    parse_unverified,
    read_unverified,
    sign_jws,
)

KEYS = {alg: make_signing_key(alg) for alg in ALGORITHMS}
SIGNING, VERIFYING, JWK = KEYS["ES256"]
PAYLOAD = {"a": "ü"}
TOKEN = sign_jws(PAYLOAD, typ="at+jwt", key=SIGNING)


def reason_of(call, *args, **kwargs):
    with pytest.raises(InvalidTokenError) as refusal:
        call(*args, **kwargs)
    return refusal.value.reason


def check(text, *, key=VERIFYING, typ=ACCESS_TOKEN, algorithms=("ES256",)):
    return check_signature(parse_unverified(text), typ=typ, algorithms=algorithms, key=key)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_what_was_signed_verifies_and_comes_back(alg):
    signing, verifying, _ = KEYS[alg]
    text = sign_jws(PAYLOAD, typ="at+jwt", key=signing)
    token = parse_unverified(text)
    assert (token.typ, token.alg, token.kid) == ("at+jwt", alg, signing.kid)
    assert check(text, key=verifying, algorithms=(alg,)) == PAYLOAD


def test_a_header_holds_type_algorithm_and_kid_and_nothing_else():
    header = json.loads(_decoded(TOKEN, 0))
    assert header == {"typ": "at+jwt", "alg": "ES256", "kid": SIGNING.kid}


@pytest.mark.parametrize(
    "payload",
    [r'{"x": "\ud800"}', r'{"\u0000": 1}', '{"x": ' + "[" * 900 + "]" * 900 + "}"],
    ids=["a lone surrogate", "a NUL", "deep"],
)
def test_what_could_not_be_shown_is_not_read_for_people(payload):
    header, _, signature = TOKEN.split(".")
    part = base64.urlsafe_b64encode(payload.encode()).decode().rstrip("=")
    assert reason_of(read_unverified, f"{header}.{part}.{signature}") == "malformed_token"


def test_an_es256_signature_is_64_bytes_and_no_der():
    signature = _decoded(TOKEN, 2)
    assert len(signature) == 64
    with pytest.raises(ValueError):  # noqa: PT011 - cryptography's own text
        decode_dss_signature(signature)


def test_a_payload_that_json_cannot_say_is_never_signed():
    with pytest.raises(ValueError, match="JSON compliant"):
        sign_jws({"exp": float("nan")}, typ="at+jwt", key=SIGNING)


def _decoded(text: str, part: int) -> bytes:
    return base64.urlsafe_b64decode(text.split(".")[part] + "==")


HEADER, BODY, SIGNATURE = TOKEN.split(".")
REST = f".{BODY}.{SIGNATURE}"
GOOD_HEADER = {"typ": "at+jwt", "alg": "ES256", "kid": "k"}


def with_header(**changes):
    header = {name: value for name, value in (GOOD_HEADER | changes).items() if value is not ...}
    return unsigned_part(header) + REST


MALFORMED = {
    "nothing": "",
    "no dots": "abc",
    "two parts": f"{HEADER}.{BODY}",
    "four parts": f"{TOKEN}.{SIGNATURE}",
    "five parts": f"{TOKEN}.{SIGNATURE}.{SIGNATURE}",
    "detached": f"{HEADER}..{SIGNATURE}",
    "no signature": f"{HEADER}.{BODY}.",
    "padding": TOKEN + "==",
    "padded header": f"{HEADER}={REST}",
    "space before": " " + TOKEN,
    "space after": TOKEN + " ",
    "line break after": TOKEN + "\n",
    "space inside": f"{HEADER}. {BODY}.{SIGNATURE}",
    "standard base64": f"{HEADER}.{BODY}.+/{SIGNATURE[2:]}",
    "JSON form": json.dumps({"protected": HEADER, "payload": BODY, "signature": SIGNATURE}),
    "NUL": TOKEN + "\x00",
    "not ASCII": TOKEN + "\u00e9",
    "lone surrogate": TOKEN + "\ud800",
    "16 KiB and one": "a" * 16_000 + "." + "a" * 300 + "." + "a" * 83,
    "header of one letter": "a" + REST,
    "header no JSON": encode_part(b"{") + REST,
    "header list": unsigned_part([]) + REST,
    "header bad UTF-8": encode_part(b'{"typ":"\xff"}') + REST,
    "header with BOM": encode_part(b"\xef\xbb\xbf" + json.dumps(GOOD_HEADER).encode()) + REST,
    "header in UTF-16": encode_part(json.dumps(GOOD_HEADER).encode("utf-16")) + REST,
    "header 10,000 deep": encode_part(b"[" * 10_000) + REST,
    "header with a number of 5,000 digits": encode_part(b'{"a":' + b"9" * 5000 + b"}") + REST,
}
BAD_HEADERS = {
    "typ missing": with_header(typ=...),
    "typ null": with_header(typ=None),
    "alg missing": with_header(alg=...),
    "alg list": with_header(alg=["ES256"]),
    "kid missing": with_header(kid=...),
    "kid list": with_header(kid=["k"]),
    "kid null": with_header(kid=None),
    "kid number": with_header(kid=1),
    "kid path": with_header(kid="../../dev/null"),
    "kid SQL": with_header(kid="' or 1=1 --"),
    "kid pipe": with_header(kid="|sleep 10"),
    "kid NUL": with_header(kid="k\x00"),
    "kid too long": with_header(kid="k" * 65),
    "kid surrogate": with_header(kid="\ud800"),
}
CRITICAL = {
    "crit": with_header(crit=["exp"]),
    "crit empty": with_header(crit=[]),
    "crit null": with_header(crit=None),
    "b64 false": with_header(b64=False),
    "zip": with_header(zip="DEF"),
}
FORMS = [
    *((text, "malformed_token", name) for name, text in MALFORMED.items()),
    *((text, "bad_header", name) for name, text in BAD_HEADERS.items()),
    *((text, "unknown_critical_header", name) for name, text in CRITICAL.items()),
]


@pytest.mark.parametrize(
    ("text", "reason"), [case[:2] for case in FORMS], ids=[case[2] for case in FORMS]
)
def test_every_other_form_is_refused_before_anything_is_trusted(text, reason):
    assert reason_of(parse_unverified, text) == reason


def test_a_text_of_exactly_the_greatest_length_is_parsed():
    assert parse_unverified(TOKEN, max_length=len(TOKEN)).text == TOKEN
    assert reason_of(parse_unverified, TOKEN, max_length=len(TOKEN) - 1) == "malformed_token"


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"])
def test_a_type_is_compared_as_a_media_type(typ):
    assert check(sign_jws(PAYLOAD, typ=typ, key=SIGNING)) == PAYLOAD


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt ", "text/at+jwt", *DENYLIST_PAGE])
def test_another_type_is_refused(typ):
    assert reason_of(check, sign_jws(PAYLOAD, typ=typ, key=SIGNING)) == "wrong_type"


def test_an_algorithm_must_be_accepted_and_be_the_keys_own():
    eddsa_signing, eddsa_verifying, _ = KEYS["EdDSA"]
    text = sign_jws(PAYLOAD, typ="at+jwt", key=eddsa_signing)
    not_accepted = reason_of(check, text, key=eddsa_verifying, algorithms=("ES256",))
    not_the_keys = reason_of(check, text, key=VERIFYING, algorithms=("ES256", "EdDSA"))
    assert not_accepted == not_the_keys == "algorithm_not_allowed"
    assert check(text, key=eddsa_verifying, algorithms=("EdDSA",)) == PAYLOAD


def test_without_a_key_a_token_is_refused():
    assert reason_of(check, TOKEN, key=None) == "unknown_kid"


def test_a_signature_of_another_key_is_refused():
    _, stranger, _ = make_signing_key()
    under_the_same_kid = VerifyingKey(VERIFYING.kid, "ES256", stranger.key)
    assert reason_of(check, TOKEN, key=under_the_same_kid) == "bad_signature"


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_every_changed_part_spoils_the_signature(alg):
    signing, verifying, _ = KEYS[alg]
    header, body, signature = sign_jws(PAYLOAD, typ="at+jwt", key=signing).split(".")
    other = unsigned_part({"a": "other"})
    flipped = ("B" if signature[0] != "B" else "C") + signature[1:]
    for text in (
        f"{header}.{other}.{signature}",
        f"{header}.{body}.{flipped}",
        f"{header}.{body}.{signature[:-4]}",
        f"{header}.{body}.a",
    ):
        assert reason_of(check, text, key=verifying, algorithms=(alg,)) == "bad_signature"


@pytest.mark.parametrize(
    "body",
    [b"[]", b"1", b"null", b'"text"', b"", b"\xff", b"[" * 10_000, b"{} x"],
    ids=lambda body: repr(body[:8]),
)
def test_a_signed_payload_must_be_a_json_object(body):
    assert reason_of(check, _sign_raw(body or b" ")) == "malformed_token"


def test_blanks_around_a_signed_payload_say_nothing():
    assert check(_sign_raw(b' {"a": 1}')) == check(_sign_raw(b'{"a": 1} \n')) == {"a": 1}


def _sign_raw(body: bytes) -> str:
    return jwt.PyJWS().encode(
        body, SIGNING.private_key, algorithm="ES256", headers={"typ": "at+jwt", "kid": SIGNING.kid}
    )


def test_a_token_does_not_show_in_its_repr():
    assert TOKEN not in repr(parse_unverified(TOKEN))


def test_people_can_read_a_token_of_which_nothing_is_proved():
    forged = f"{HEADER}.{BODY}.AAAA"
    header = {"typ": "at+jwt", "alg": "ES256", "kid": SIGNING.kid}
    assert read_unverified(forged) == (header, PAYLOAD)
    assert reason_of(read_unverified, f"{HEADER}.{BODY}") == "malformed_token"


def long_header(length: int) -> str:
    """Return a token whose header is `length` characters long; nothing in it is proved."""
    bare = len(json.dumps({"typ": "at+jwt", "alg": "ES256", "kid": "k", "x": ""}))
    filling = "A" * (length * 3 // 4 - bare)
    header = {"typ": "at+jwt", "alg": "ES256", "kid": "k", "x": filling}
    part = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    assert len(part) == length
    return f"{part}.e30.AAAA"


def test_t33_a_header_has_eight_kilobytes_at_most_however_long_the_text_may_be():
    assert parse_unverified(long_header(8192), max_length=10**6).kid == "k"
    assert reason_of(parse_unverified, long_header(8196), max_length=10**6) == "malformed_token"


def test_a_header_is_remembered_only_after_a_signature_has_proved_it():
    known = set(_proved_headers)
    text = sign_jws({"a": 1}, typ="at+jwt", key=SIGNING)
    forged = f"{text.rpartition('.')[0]}.{'A' * 86}"
    for junk in (long_header(800), forged):
        parse_unverified(junk)
    assert reason_of(check, forged) == "bad_signature"
    assert set(_proved_headers) - known <= {text.partition(".")[0]} & known
    check(text)
    assert text.partition(".")[0] in _proved_headers


def test_only_so_many_headers_are_remembered():
    for _ in range(70):
        key, verifying, _ = make_signing_key()
        check(sign_jws({"a": 1}, typ="at+jwt", key=key), key=verifying)
    assert len(_proved_headers) <= 64
