"""What an attacker can send to a relying party. One honest token shows that the table refuses for the right reason."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.factories import ISSUER, make_claims, make_signing_key
from tests.simulator import START, SimulatedIssuer, encode_part, simulated, unsigned_part

from tokensvc.core.claims import build_payload
from tokensvc.core.jwks import build_jwks
from tokensvc.verify import InvalidTokenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.verify import Verifier

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
HUGE = 10**400


@dataclass(frozen=True)
class World:
    issuer: SimulatedIssuer
    verifier: Verifier

    @property
    def header(self) -> dict[str, Any]:
        return {"typ": "at+jwt", "alg": "ES256", "kid": self.issuer.signer.kid}

    @property
    def payload(self) -> dict[str, Any]:
        return build_payload(make_claims())

    def raw(self, header: dict[str, Any], body: bytes) -> str:
        """Sign any bytes under any header, with the issuer's own key."""
        signed = f"{unsigned_part(header)}.{encode_part(body)}"
        signature = jwt.get_algorithm_by_name("ES256").sign(
            signed.encode(), self.issuer.signer.private_key
        )
        return f"{signed}.{encode_part(signature)}"

    def token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        payload = {
            name: value for name, value in (self.payload | claims).items() if value is not ...
        }
        return self.raw(self.header | (header or {}), json.dumps(payload).encode())


async def make_world() -> World:
    issuer = SimulatedIssuer()
    verifier = issuer.make_verifier(algorithms=("ES256", "EdDSA", "RS256"))
    await verifier._jwks.fetch_once()
    await verifier._feed.poll_once()
    return World(issuer, verifier)


def unsigned(alg: str, signature: str) -> Callable[[World], str]:
    return lambda world: (
        f"{unsigned_part(world.header | {'alg': alg})}.{unsigned_part(world.payload)}.{signature}"
    )


def hmac_with(alg: str, secret: Callable[[World], bytes]) -> Callable[[World], str]:
    def build(world: World) -> str:
        signed = f"{unsigned_part(world.header | {'alg': alg})}.{unsigned_part(world.payload)}"
        digest = getattr(hashlib, f"sha{alg[2:]}")
        return f"{signed}.{encode_part(hmac.new(secret(world), signed.encode(), digest).digest())}"

    return build


def public_bytes(encoding: Encoding, form: PublicFormat) -> Callable[[World], bytes]:
    return lambda world: world.issuer.signer.private_key.public_key().public_bytes(encoding, form)


def self_signed(**header: Any) -> Callable[[World], str]:
    """Signed by a stranger whose key the header offers."""

    def build(world: World) -> str:
        key, _, jwk = make_signing_key()
        offered = {name: jwk if value is ... else value for name, value in header.items()}
        return jwt.PyJWS().encode(
            json.dumps(world.payload).encode(),
            key.private_key,
            algorithm="ES256",
            headers=world.header | offered | {"kid": header_kid(offered, world)},
        )

    return build


def header_kid(offered: dict[str, Any], world: World) -> str:
    return str(offered.get("kid", world.issuer.signer.kid))


def foreign_kid(world: World) -> str:
    key, _, _ = make_signing_key()
    return world.issuer.sign(world.payload, key=key)


def other_algorithm(world: World) -> str:
    key, _, _ = make_signing_key("EdDSA")
    signed = f"{unsigned_part(world.header | {'alg': 'EdDSA'})}.{unsigned_part(world.payload)}"
    return f"{signed}.{encode_part(jwt.get_algorithm_by_name('EdDSA').sign(signed.encode(), key.private_key))}"


def der_signature(world: World) -> str:
    signed, _, signature = world.token().rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    return f"{signed}.{encode_part(encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:])))}"


def zero_signature(world: World) -> str:
    return f"{world.token().rpartition('.')[0]}.{encode_part(bytes(64))}"


def claim(**changes: Any) -> Callable[[World], str]:
    return lambda world: world.token(None, **changes)


def headed(**changes: Any) -> Callable[[World], str]:
    return lambda world: world.token(changes)


def body(text: bytes) -> Callable[[World], str]:
    return lambda world: world.raw(world.header, text)


def around(before: str = "", after: str = "") -> Callable[[World], str]:
    return lambda world: before + world.token() + after


NONE_CASES = [f"{a}{b}{c}{d}" for a in "nN" for b in "oO" for c in "nN" for d in "eE"]
SECRETS: dict[str, Callable[[World], bytes]] = {
    "PEM": public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "DER": public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    "SSH": public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
    "point": public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
    "JWK": lambda world: json.dumps(world.issuer.published[0]).encode(),
    "JWKS": lambda world: build_jwks(world.issuer.published),
    "nothing": lambda _: b"",
}
TABLE: dict[str, tuple[Callable[[World], str], str]] = {
    **{
        f"alg {alg} and an empty signature": (unsigned(alg, ""), "malformed_token")
        for alg in NONE_CASES
    },
    **{
        f"alg {alg} and some signature": (unsigned(alg, "AAAA"), "algorithm_not_allowed")
        for alg in NONE_CASES
    },
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
    "kid of a stranger": (foreign_kid, "unknown_kid"),
    "jwk of a stranger": (self_signed(jwk=...), "bad_signature"),
    "jwk of a stranger under its own kid": (self_signed(jwk=..., kid="mine"), "unknown_kid"),
    "jku": (self_signed(jku="http://127.0.0.1:1/jwks.json"), "bad_signature"),
    "x5u": (self_signed(x5u="http://127.0.0.1:1/cert.pem"), "bad_signature"),
    "x5c": (self_signed(x5c=["MIIB"]), "bad_signature"),
    "signature as DER": (der_signature, "bad_signature"),
    "signature of zeros": (zero_signature, "bad_signature"),
    "padding": (around(after="=="), "malformed_token"),
    "space before": (around(before=" "), "malformed_token"),
    "space after": (around(after=" "), "malformed_token"),
    "line break after": (around(after="\n"), "malformed_token"),
    "NUL after": (around(after="\x00"), "malformed_token"),
    "five parts": (around(after=".AAAA.AAAA"), "malformed_token"),
    "four parts": (around(after=".AAAA"), "malformed_token"),
    "over 16 KiB": (claim(more="x" * 16_384), "malformed_token"),
    "typ missing": (
        lambda world: world.raw(
            {"alg": "ES256", "kid": world.issuer.signer.kid}, json.dumps(world.payload).encode()
        ),
        "bad_header",
    ),
    "typ JWT": (headed(typ="JWT"), "wrong_type"),
    "typ list": (headed(typ=["at+jwt"]), "bad_header"),
    "typ of a page": (headed(typ="denylist+jwt"), "wrong_type"),
    "denylist page as token": (
        lambda world: world.issuer.sign_page(world.issuer.build_page(None)),
        "wrong_type",
    ),
    "denylist page under our typ": (
        lambda world: world.issuer.sign_page(world.issuer.build_page(None), typ="at+jwt"),
        "bad_claim_aud",
    ),
    "crit": (headed(crit=["exp"]), "unknown_critical_header"),
    "b64 false": (headed(b64=False), "unknown_critical_header"),
    "zip": (headed(zip="DEF"), "unknown_critical_header"),
    "kid as path": (headed(kid="../../../../dev/null"), "bad_header"),
    "kid as list": (headed(kid=["k"]), "bad_header"),
    "kid as object": (headed(kid={"k": 1}), "bad_header"),
    "kid of 1 MB": (headed(kid="k" * 1_000_000), "malformed_token"),
    "kid of 10 KB": (headed(kid="k" * 10_000), "bad_header"),
    "kid with NUL": (headed(kid="k\x00"), "bad_header"),
    "aud of another": (claim(aud="billing"), "wrong_audience"),
    "aud array": (claim(aud=["api"]), "bad_claim_aud"),
    "aud array of two": (claim(aud=["api", "billing"]), "bad_claim_aud"),
    "aud substring": (claim(aud="ap"), "wrong_audience"),
    "aud longer": (claim(aud="api,billing"), "wrong_audience"),
    "aud in another case": (claim(aud="Api"), "wrong_audience"),
    "aud with slash": (claim(aud="api/"), "wrong_audience"),
    "aud missing": (claim(aud=...), "bad_claim_aud"),
    "iss of another": (claim(iss="http://other.example"), "wrong_issuer"),
    "iss with slash": (claim(iss=ISSUER + "/"), "wrong_issuer"),
    "iss prefix": (claim(iss=ISSUER[:-1]), "wrong_issuer"),
    "iss array": (claim(iss=[ISSUER]), "wrong_issuer"),
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


@pytest.mark.parametrize(("build", "reason"), TABLE.values(), ids=TABLE)
@simulated
async def test_a_hostile_token_is_refused_before_and_after_an_honest_one(build, reason):
    world = await make_world()
    hostile = build(world)
    fetches = len(world.issuer.jwks_asked_at)
    for _ in range(2):
        with pytest.raises(InvalidTokenError) as refusal:
            world.verifier.verify(hostile)
        assert refusal.value.reason == reason
        assert world.verifier.verify(world.token()) == make_claims()
    await asyncio.sleep(0)
    assert len(world.issuer.jwks_asked_at) == fetches


def twin(token: str) -> str:
    """The other signature that every ECDSA verifier takes: (r, n - s)."""
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    return (
        f"{signed}.{encode_part(raw[:32] + (P256_ORDER - int.from_bytes(raw[32:])).to_bytes(32))}"
    )


def other_last_letter(token: str) -> str:
    """The same 64 bytes written differently: the last letter has four bits that mean nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


@pytest.mark.parametrize(
    "rewrite",
    [twin, other_last_letter, lambda token: token],
    ids=["(r, n-s)", "last letter", "as it is"],
)
@pytest.mark.parametrize("seen", [True, False], ids=["seen before", "never seen"])
@simulated
async def test_a_revoked_token_stays_revoked_however_it_is_written(rewrite, seen):
    world = await make_world()
    token, claims = world.issuer.issue()
    if seen:
        assert world.verifier.verify(token) == world.verifier.verify(rewrite(token)) == claims
    world.issuer.deny("jti", claims.jti)
    await world.verifier._feed.poll_once()
    for text in (token, rewrite(token)):
        with pytest.raises(InvalidTokenError) as refusal:
            world.verifier.verify(text)
        assert refusal.value.reason == "revoked_jti"


@simulated
async def test_the_twin_differs_from_the_token():
    world = await make_world()
    token, _ = world.issuer.issue()
    assert twin(token) != token != other_last_letter(token)
    assert twin(twin(token)) == token
    with pytest.raises(ValueError):  # noqa: PT011 - raw r and s are no DER
        decode_dss_signature(base64.urlsafe_b64decode(token.rpartition(".")[2] + "=="))


@simulated
async def test_an_algorithm_that_the_relying_party_did_not_choose_is_refused():
    issuer = SimulatedIssuer()
    key = issuer.rotate("EdDSA")
    verifier = issuer.make_verifier()
    await verifier._jwks.fetch_once()
    issuer.keys.reverse()
    await verifier._feed.poll_once()
    with pytest.raises(InvalidTokenError) as refusal:
        verifier.verify(issuer.sign(build_payload(make_claims()), key=key))
    assert refusal.value.reason == "algorithm_not_allowed"
