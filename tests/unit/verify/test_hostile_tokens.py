"""What an attacker can send to a relying party: each token is refused for the right reason."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.factories import ISSUER, make_claims
from tests.simulator import START, SimulatedIssuer, reason_of, simulated
from tests.unit.verify.forging import (
    World,
    a_page,
    around,
    as_json,
    body,
    claim,
    der_signature,
    detached,
    foreign_kid,
    headed,
    hmac_with,
    open_world,
    other_algorithm,
    public_bytes,
    self_signed,
    unsigned,
    without_typ,
    zero_signature,
)

from tokensvc.core.claims import build_payload
from tokensvc.core.jwks import build_jwks

if TYPE_CHECKING:
    from collections.abc import Callable

HUGE = 10**400
NONE_CASES = [f"{a}{b}{c}{d}" for a in "nN" for b in "oO" for c in "nN" for d in "eE"]
PEM = public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def around_pem(before: bytes, after: bytes) -> Callable[[World], bytes]:
    return lambda world: before + PEM(world) + after


SECRETS: dict[str, Callable[[World], bytes]] = {
    "PEM": PEM,
    "PEM after a BOM": around_pem(b"\xef\xbb\xbf", b""),
    "PEM between spaces": around_pem(b" ", b" "),
    "DER": public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "SSH": public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
    "point": public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
    "JWK": lambda world: json.dumps(world.issuer.published[0]).encode(),
    "JWKS": lambda world: build_jwks(world.issuer.published),
    "nothing": lambda _: b"",
}
Case = tuple["Callable[[World], str]", str]
UNSIGNED: dict[str, Case] = {
    **{
        f"alg {alg} and an empty signature": (unsigned(alg, ""), "malformed_token")
        for alg in NONE_CASES
    },
    **{
        f"alg {alg} and some signature": (unsigned(alg, "AAAA"), "algorithm_not_allowed")
        for alg in NONE_CASES
    },
    **{
        f"alg {alg} and a signature of ours": (headed(alg=alg), "algorithm_not_allowed")
        for alg in NONE_CASES
    },
}
ALGORITHMS: dict[str, Case] = {
    **{
        f"{alg} with our public key as secret, {name}": (
            hmac_with(alg, secret),
            "algorithm_not_allowed",
        )
        for alg in ("HS256", "HS384", "HS512")
        for name, secret in SECRETS.items()
    },
    "alg in another case": (headed(alg="es256"), "algorithm_not_allowed"),
    "alg of another of our kinds": (other_algorithm, "algorithm_not_allowed"),
    "alg empty": (headed(alg=""), "algorithm_not_allowed"),
}
OFFERED_KEYS: dict[str, Case] = {
    "jwk of a stranger": (self_signed(jwk=...), "bad_signature"),
    "jwk of a stranger under its own kid": (self_signed(jwk=..., kid="mine"), "unknown_kid"),
    "jku": (self_signed(jku="http://127.0.0.1:1/jwks.json"), "bad_signature"),
    "x5u": (self_signed(x5u="http://127.0.0.1:1/cert.pem"), "bad_signature"),
    "x5c": (self_signed(x5c=["MIIB"]), "bad_signature"),
}
KIDS: dict[str, Case] = {
    "kid of a stranger": (foreign_kid, "unknown_kid"),
    "kid as path": (headed(kid="../../../../dev/null"), "bad_header"),
    "kid as SQL": (headed(kid="k' or '1'='1"), "bad_header"),
    "kid as a command": (headed(kid="k|sleep 10"), "bad_header"),
    "kid null": (headed(kid=None), "bad_header"),
    "kid empty": (headed(kid=""), "bad_header"),
    "kid as list": (headed(kid=["k"]), "bad_header"),
    "kid as object": (headed(kid={"k": 1}), "bad_header"),
    "kid of 1 MB": (headed(kid="k" * 1_000_000), "malformed_token"),
    "kid of 10 KB": (headed(kid="k" * 10_000), "malformed_token"),
    "kid with NUL": (headed(kid="k\x00"), "bad_header"),
}
FORMS: dict[str, Case] = {
    "padding": (around(after="=="), "malformed_token"),
    "space before": (around(before=" "), "malformed_token"),
    "space after": (around(after=" "), "malformed_token"),
    "line break after": (around(after="\n"), "malformed_token"),
    "NUL after": (around(after="\x00"), "malformed_token"),
    "five parts": (around(after=".AAAA.AAAA"), "malformed_token"),
    "four parts": (around(after=".AAAA"), "malformed_token"),
    "payload detached": (detached, "malformed_token"),
    "JSON form": (as_json, "malformed_token"),
    "over 16 KiB": (claim(more="x" * 16_384), "malformed_token"),
    "crit": (headed(crit=["exp"]), "unknown_critical_header"),
    "b64 false": (headed(b64=False), "unknown_critical_header"),
    "zip": (headed(zip="DEF"), "unknown_critical_header"),
    "number of 5,000 digits": (body(b'{"exp":' + b"9" * 5000 + b"}"), "malformed_token"),
    "payload in bad UTF-8": (body(b'{"iss":"\xff"}'), "malformed_token"),
    "payload with BOM": (body(b"\xef\xbb\xbf{}"), "malformed_token"),
    "payload 10,000 deep": (
        body(b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}"),
        "malformed_token",
    ),
    "payload list": (body(b"[]"), "malformed_token"),
    "payload empty object": (body(b"{}"), "wrong_issuer"),
    "API key": (lambda _: "tsk-0123456789ABCDEFGHIJKLMNOPabcdef", "malformed_token"),
    "nothing": (lambda _: "", "malformed_token"),
}
AUDIENCES: dict[str, Case] = {
    "aud of another": (claim(aud="billing"), "wrong_audience"),
    "aud array": (claim(aud=["api"]), "bad_claim_aud"),
    "aud array of two": (claim(aud=["api", "billing"]), "bad_claim_aud"),
    "aud substring": (claim(aud="ap"), "wrong_audience"),
    "aud longer": (claim(aud="api,billing"), "wrong_audience"),
    "aud in another case": (claim(aud="Api"), "wrong_audience"),
    "aud with slash": (claim(aud="api/"), "wrong_audience"),
    "aud missing": (claim(aud=...), "bad_claim_aud"),
}
TYPES: dict[str, Case] = {
    "typ missing": (without_typ, "bad_header"),
    "typ JWT": (headed(typ="JWT"), "wrong_type"),
    "typ list": (headed(typ=["at+jwt"]), "bad_header"),
    "typ of a page": (headed(typ="denylist+jwt"), "wrong_type"),
    "denylist page as token": (a_page(typ="denylist+jwt"), "wrong_type"),
    "denylist page under our typ": (a_page(typ="at+jwt"), "wrong_audience"),
}
ISSUERS: dict[str, Case] = {
    "iss of another": (claim(iss="http://other.example"), "wrong_issuer"),
    "iss with slash": (claim(iss=ISSUER + "/"), "wrong_issuer"),
    "iss prefix": (claim(iss=ISSUER[:-1]), "wrong_issuer"),
    "iss array": (claim(iss=[ISSUER]), "wrong_issuer"),
}
OTHERS: dict[str, Case] = {
    "signature as DER": (der_signature, "bad_signature"),
    "signature of zeros": (zero_signature, "bad_signature"),
    "exp as text": (claim(exp=str(START + 600)), "bad_claim_exp"),
    "exp huge": (claim(exp=HUGE), "bad_claim_exp"),
    "exp null": (claim(exp=None), "bad_claim_exp"),
    "exp NaN": (claim(exp=float("nan")), "bad_claim_exp"),
    "exp infinite": (claim(exp=float("inf")), "bad_claim_exp"),
    "exp missing": (claim(exp=...), "bad_claim_exp"),
    "exp past": (claim(exp=START - 31), "expired"),
    "exp past, in a fraction": (claim(exp=START - 30.5), "expired"),
    "iat future": (claim(iat=START + 31), "not_yet_valid"),
    "iat huge": (claim(iat=HUGE), "bad_claim_iat"),
    "nbf future": (claim(nbf=START + 31), "not_yet_valid"),
    "cnf": (claim(cnf={"jkt": "x"}), "unknown_confirmation"),
}


async def check_refusal(build: Callable[[World], str], reason: str) -> None:
    """Refuse it twice, accept an honest token meanwhile, and fetch nothing for its sake."""
    async with open_world() as world:
        hostile = build(world)
        for _ in range(2):
            assert reason_of(world.verifier, hostile) == reason
            assert world.verifier.verify(world.token()) == make_claims()
        await asyncio.sleep(1)
        assert len(world.issuer.jwks_asked_on) == 1


@pytest.mark.parametrize(("build", "reason"), UNSIGNED.values(), ids=UNSIGNED)
@simulated
async def test_t1_a_token_without_a_signature_is_refused(build, reason):
    await check_refusal(build, reason)


@pytest.mark.parametrize(("build", "reason"), ALGORITHMS.values(), ids=ALGORITHMS)
@simulated
async def test_t2_an_algorithm_of_the_attackers_choice_is_refused(build, reason):
    await check_refusal(build, reason)


@pytest.mark.parametrize(("build", "reason"), OFFERED_KEYS.values(), ids=OFFERED_KEYS)
@simulated
async def test_t3_a_key_that_the_token_itself_offers_is_refused(build, reason):
    await check_refusal(build, reason)


@simulated
async def test_t3_no_address_in_a_header_is_asked():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        async with open_world() as world:
            for name in ("jku", "x5u"):
                token = self_signed(**{name: url})(world)
                assert reason_of(world.verifier, token) == "bad_signature"
            await asyncio.sleep(100)
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize(("build", "reason"), KIDS.values(), ids=KIDS)
@simulated
async def test_t4_a_kid_that_is_none_of_ours_is_refused(build, reason):
    await check_refusal(build, reason)


@pytest.mark.parametrize(("build", "reason"), FORMS.values(), ids=FORMS)
@simulated
async def test_t5_another_form_than_three_parts_of_plain_json_is_refused(build, reason):
    await check_refusal(build, reason)


@pytest.mark.parametrize(("build", "reason"), AUDIENCES.values(), ids=AUDIENCES)
@simulated
async def test_t6_an_audience_that_only_looks_like_ours_is_refused(build, reason):
    await check_refusal(build, reason)


@pytest.mark.parametrize(("build", "reason"), TYPES.values(), ids=TYPES)
@simulated
async def test_t7_a_token_of_another_type_is_refused(build, reason):
    await check_refusal(build, reason)


@pytest.mark.parametrize(("build", "reason"), ISSUERS.values(), ids=ISSUERS)
@simulated
async def test_t8_an_issuer_that_only_looks_like_ours_is_refused(build, reason):
    await check_refusal(build, reason)


@pytest.mark.parametrize(("build", "reason"), OTHERS.values(), ids=OTHERS)
@simulated
async def test_any_other_hostile_token_is_refused(build, reason):
    await check_refusal(build, reason)


@simulated
async def test_t2_an_algorithm_that_the_relying_party_did_not_choose_is_refused():
    issuer = SimulatedIssuer()
    key = issuer.rotate("EdDSA")
    issuer.keys.reverse()
    async with issuer.make_verifier() as verifier:
        token = issuer.sign(build_payload(make_claims()), key=key)
        assert reason_of(verifier, token) == "algorithm_not_allowed"
