"""How an attacker builds tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from tests.factories import make_claims, make_signing_key
from tests.simulator import SimulatedIssuer, encode_part, unsigned_part

from tokensvc.core.claims import build_payload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    from tokensvc.verify import Verifier

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class World:
    """An issuer, and a verifier that follows it."""

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
        algorithm = jwt.get_algorithm_by_name("ES256")
        signature = algorithm.sign(signed.encode(), self.issuer.signer.private_key)
        return f"{signed}.{encode_part(signature)}"

    def token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Sign a token with changes in its header and claims; `...` leaves a claim out."""
        payload = {
            name: value for name, value in (self.payload | claims).items() if value is not ...
        }
        return self.raw(self.header | (header or {}), json.dumps(payload).encode())


@asynccontextmanager
async def open_world() -> AsyncIterator[World]:
    issuer = SimulatedIssuer()
    async with issuer.make_verifier(algorithms=("ES256", "EdDSA", "RS256")) as verifier:
        yield World(issuer, verifier)


# --- without the issuer's key --------------------------------------------------------------------


def token_of(kid: str) -> str:
    """Return a token that costs an attacker nothing: any kid, any signature."""
    header = {"typ": "at+jwt", "alg": "ES256", "kid": kid}
    return f"{unsigned_part(header)}.{unsigned_part({})}.{encode_part(bytes(64))}"


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
    """Sign with a stranger's key; `...` in the header is the place where it is offered."""

    def build(world: World) -> str:
        key, _, jwk = make_signing_key()
        offered = {name: jwk if value is ... else value for name, value in header.items()}
        return jwt.PyJWS().encode(
            json.dumps(world.payload).encode(),
            key.private_key,
            algorithm="ES256",
            headers=world.header | offered,
        )

    return build


def foreign_kid(world: World) -> str:
    key, _, _ = make_signing_key()
    return world.issuer.sign(world.payload, key=key)


def other_algorithm(world: World) -> str:
    key, _, _ = make_signing_key("EdDSA")
    signed = f"{unsigned_part(world.header | {'alg': 'EdDSA'})}.{unsigned_part(world.payload)}"
    signature = jwt.get_algorithm_by_name("EdDSA").sign(signed.encode(), key.private_key)
    return f"{signed}.{encode_part(signature)}"


# --- with a token that the issuer has signed -----------------------------------------------------


def claim(**changes: Any) -> Callable[[World], str]:
    return lambda world: world.token(None, **changes)


def headed(**changes: Any) -> Callable[[World], str]:
    return lambda world: world.token(changes)


def body(text: bytes) -> Callable[[World], str]:
    return lambda world: world.raw(world.header, text)


def around(before: str = "", after: str = "") -> Callable[[World], str]:
    return lambda world: before + world.token() + after


def without_typ(world: World) -> str:
    header = {name: value for name, value in world.header.items() if name != "typ"}
    return world.raw(header, json.dumps(world.payload).encode())


def a_page(*, typ: str) -> Callable[[World], str]:
    return lambda world: world.issuer.sign_page(world.issuer.build_page(None), typ=typ)


def der_signature(world: World) -> str:
    signed, _, signature = world.token().rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    return f"{signed}.{encode_part(der)}"


def zero_signature(world: World) -> str:
    return f"{world.token().rpartition('.')[0]}.{encode_part(bytes(64))}"


def detached(world: World) -> str:
    header, _, signature = world.token().split(".")
    return f"{header}..{signature}"


def as_json(world: World) -> str:
    """Write a token in the flattened form of RFC 7515 section 7.2.2."""
    protected, payload, signature = world.token().split(".")
    return json.dumps({"protected": protected, "payload": payload, "signature": signature})


def twin(token: str) -> str:
    """Return the token with the other signature that ECDSA verifiers accept: (r, n - s)."""
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    s = P256_ORDER - int.from_bytes(raw[32:])
    return f"{signed}.{encode_part(raw[:32] + s.to_bytes(32))}"


def other_last_letter(token: str) -> str:
    """Return the token with the same 64 bytes of signature written differently.

    Four bits of the last letter have no meaning.
    """
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]
