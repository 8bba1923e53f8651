"""What does a verification cost, beside the bare signature check and other libraries?

    python -m bench.verify [-n 500] [--rounds 7]

All verify the same ES256 tokens, and check signature, issuer, audience and expiry; keys are loaded
before. PyJWT gets its keys by PyJWKClient from a server on loopback, as its users do. The rounds
alternate, and the best of each counts, because the machine may be busy. Then the memory of a
denylist of 100,000 revocations is measured, which comes as a row of signed pages.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import sys
import time
import tracemalloc
import warnings
from typing import TYPE_CHECKING, Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt as jose
from joserfc.jwk import KeySet

from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.identifier import new_jti
from tokensvc.core.jwks import parse_jwks
from tokensvc.verify.testing import AUDIENCE, FakeIssuer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ENTRIES: Final = 100_000
_BARE: Final = "cryptography: the signature alone"
_FIRST: Final = "tokensvc.verify, first time"
_AGAIN: Final = "tokensvc.verify, again"
_REPEATS: Final = 20  # a repeated verification is short: more of them to a round


def _bare(issuer: FakeIssuer, tokens: Sequence[str]) -> Callable[[], None]:
    (key,) = parse_jwks(issuer.jwks).values()
    algorithm = ECDSA(SHA256())
    signed = []
    for token in tokens:
        text, _, signature = token.rpartition(".")
        raw = base64.urlsafe_b64decode(signature + "==")
        signed.append(
            (
                text.encode("ascii"),
                encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:])),
            )
        )
    verify: Callable[..., None] = key.key.verify

    def run() -> None:
        for text, signature in signed:
            verify(signature, text, algorithm)

    return run


def _ours(
    issuer: FakeIssuer, tokens: Sequence[str], remember: int, repeats: int
) -> Callable[[], None]:
    verifier = issuer.verifier(remember=remember)
    issuer.revoke(jti="another")  # an empty denylist would flatter us
    several = list(tokens) * repeats

    def run() -> None:
        for token in several:
            verifier.verify(token)

    return run


def _pyjwt(url: str, tokens: Sequence[str]) -> Callable[[], None]:
    client = jwt.PyJWKClient(f"{url}/.well-known/jwks.json")

    def run() -> None:
        for token in tokens:
            key = client.get_signing_key_from_jwt(token)
            jwt.decode(token, key, algorithms=["ES256"], audience=AUDIENCE, issuer=url, leeway=30)

    return run


def _joserfc(issuer: FakeIssuer, tokens: Sequence[str]) -> Callable[[], None]:
    keys = KeySet.import_key_set(json.loads(issuer.jwks))
    registry = jose.JWTClaimsRegistry(
        leeway=30,
        iss={"essential": True, "value": issuer.issuer},
        aud={"essential": True, "value": AUDIENCE},
        exp={"essential": True},
    )

    def run() -> None:
        for token in tokens:
            registry.validate(jose.decode(token, keys, algorithms=["ES256"]).claims)

    return run


def _authlib(issuer: FakeIssuer, tokens: Sequence[str]) -> Callable[[], None]:
    with warnings.catch_warnings(record=True):  # it says that it is to be replaced by joserfc
        from authlib.jose import JsonWebKey, JsonWebToken  # noqa: PLC0415
    keys = JsonWebKey.import_key_set(json.loads(issuer.jwks))
    library = JsonWebToken(["ES256"])
    options: dict[str, Any] = {
        "iss": {"essential": True, "value": issuer.issuer},
        "aud": {"essential": True, "value": AUDIENCE},
        "exp": {"essential": True},
    }

    def run() -> None:
        for token in tokens:
            library.decode(token, keys, claims_options=options).validate(leeway=30)

    return run


def measure(issuer: FakeIssuer, url: str, count: int, rounds: int) -> dict[str, float]:
    """Return the best seconds per verification of each."""
    tokens = [issuer.token() for _ in range(count)]
    runs: dict[str, tuple[Callable[[], None], int]] = {
        _BARE: (_bare(issuer, tokens), count),
        _FIRST: (_ours(issuer, tokens, 0, 1), count),
        _AGAIN: (_ours(issuer, tokens, count, _REPEATS), count * _REPEATS),
        "PyJWT with PyJWKClient": (_pyjwt(url, tokens), count),
        "joserfc": (_joserfc(issuer, tokens), count),
        "Authlib": (_authlib(issuer, tokens), count),
    }
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(rounds + 1):  # the first only warms up: it fills caches and fetches keys
        for name, (run, verified) in runs.items():
            began = time.perf_counter()
            run()
            best[name] = min(best[name], (time.perf_counter() - began) / verified)
    return best


def measure_denylist() -> int:
    """Return the bytes that a relying party holds for `ENTRIES` denied tokens."""
    issuer = FakeIssuer()
    exp = int(issuer.now()) + 720
    for _ in range(ENTRIES):
        issuer.append(Revocation(kind="jti", value=new_jti(), exp=exp))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    verifier = issuer.verifier()  # it takes in page after page, until it is in step
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if verifier.status().denylist_entries != ENTRIES:
        raise RuntimeError("the pages were not taken in")
    return held - before


def report(best: dict[str, float], denylist_bytes: int) -> str:
    """Return the table."""
    width = max(map(len, best))
    lines = [f"{'ES256, per token':{width}}  {'microseconds':>12}  {'x bare':>6}"]
    lines += [
        f"{name:{width}}  {1e6 * seconds:12.2f}  {seconds / best[_BARE]:6.2f}"
        for name, seconds in best.items()
    ]
    lines.append(f"\nmemory of {ENTRIES:,} denied tokens: {denylist_bytes / 1e6:.1f} MB")
    return "\n".join(lines)


async def _measure(count: int, rounds: int) -> dict[str, float]:
    issuer = FakeIssuer()
    async with issuer.serve() as url:
        return await asyncio.to_thread(measure, issuer, url, count, rounds)


def main() -> int:
    """Measure and print; fail if what we promise does not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.verify", description="Measure the cost of a verification."
    )
    parser.add_argument("-n", "--tokens", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    best = asyncio.run(_measure(options.tokens, options.rounds))
    denylist_bytes = measure_denylist()
    print(report(best, denylist_bytes))
    promises = best[_AGAIN] < 5e-6 and best[_FIRST] <= 1.5 * best[_BARE] and denylist_bytes < 30e6
    return 0 if promises else 1


if __name__ == "__main__":
    sys.exit(main())
