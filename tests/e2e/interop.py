"""What libraries that know nothing of us are told and shown: tokens of every algorithm."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testbed.waiting import wait_until

from tests.e2e.calls import Key, exchange, new_key
from tests.integration.things import ACTOR, read_header
from tokensvc.issuer.admin.audiences import create_audience
from tokensvc.issuer.signing.rotation import rotate_once
from tokensvc.issuer.start import initialise
from tokensvc.settings import load_settings
from tokensvc.store.pool import open_database

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from testbed.processes import ServiceProcess

ALGORITHMS = ("ES256", "EdDSA", "RS256")
SOON = {
    "TOKENSVC_JWKS_MAX_AGE": "1",
    "TOKENSVC_VERIFIER_CACHE": "0",
    "TOKENSVC_ROTATION_MARGIN": "0",
}


@dataclass(frozen=True)
class Target:
    """What a verifier is told."""

    jwks_url: str
    issuer: str
    audience: str
    alg: str


@dataclass(frozen=True)
class Tokens:
    """What a verifier is shown."""

    good: str
    changed_claims: str
    changed_signature: str
    for_others: str


@dataclass(frozen=True)
class Case:
    """An algorithm, with its two audiences."""

    target: Target
    tokens: Tokens
    key: Key

    def check(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
        """Hold what a library has read from the good token against what was asked for."""
        assert (header["alg"], header["typ"]) == (self.target.alg, "at+jwt")
        seen = (claims["iss"], claims["aud"], claims["client_id"], claims["scope"])
        assert seen == (self.target.issuer, self.target.audience, self.key.id, "orders:read")


def start_with_every_algorithm(
    start: Callable[..., ServiceProcess], database_url: str, keys_dir: str
) -> ServiceProcess:
    """Start a service whose database has two audiences for each algorithm, and keys that sign."""
    told = SOON | {"TOKENSVC_DATABASE_URL": database_url, "TOKENSVC_KEYS_DIR": keys_dir}
    asyncio.run(_prepare(told))
    process = start(**told)
    process.wait_until_ready()
    return process


async def _prepare(environment: dict[str, str]) -> None:
    settings = load_settings(environment)
    database = await open_database(environment["TOKENSVC_DATABASE_URL"], max_size=2)
    master_key = (await initialise(database, settings)).master_key
    for alg in ALGORITHMS:
        for audience in audiences_of(alg):
            await create_audience(database, settings, audience, alg=alg, actor=ACTOR)
        await rotate_once(database, settings, master_key, alg=alg, actor=ACTOR)
    await database.close()


def make_cases(process: ServiceProcess) -> dict[str, Case]:
    """Make the case of each algorithm, as soon as its first key is in every cache."""
    key = new_key(process)
    return {alg: _make_case(process, key, alg) for alg in ALGORITHMS}


def audiences_of(alg: str) -> tuple[str, str]:
    return f"{alg}-orders", f"{alg}-others"


def _make_case(process: ServiceProcess, key: Key, alg: str) -> Case:
    ours, others = audiences_of(alg)
    wait_until(lambda: alg_of(exchange(process.url, key.text, audience=ours)) == alg)
    good = exchange(process.url, key.text, audience=ours)
    header, claims, signature = good.split(".")
    more = encode(json.dumps(decode_json(claims) | {"scope": "orders:read orders:write"}).encode())
    first, *rest = decode(signature)
    tokens = Tokens(
        good=good,
        changed_claims=f"{header}.{more}.{signature}",
        changed_signature=f"{header}.{claims}.{encode(bytes([first ^ 1, *rest]))}",
        for_others=exchange(process.url, key.text, audience=others),
    )
    return Case(Target(f"{process.url}/.well-known/jwks.json", process.url, ours, alg), tokens, key)


def alg_of(token: str) -> str:
    return str(read_header(token)["alg"])


def decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def decode_json(part: str) -> Any:
    return json.loads(decode(part))


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()
