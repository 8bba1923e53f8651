"""Libraries that know nothing of us verify tokens of every algorithm, from one JWKS; what is forged or for somebody else they refuse."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import tempfile
import urllib.request
import warnings
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jwt as jwcrypto_jwt

from tests.e2e.calls import Key, exchange, jwks, new_key, wait_until
from tests.processes import ServiceProcess, find_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ALGORITHMS = ("ES256", "EdDSA", "RS256")
KINDS = {"ES256": ("EC", "P-256"), "EdDSA": ("OKP", "Ed25519"), "RS256": ("RSA", None)}
AT_ONCE = {"TOKENSVC_VERIFIER_CACHE": "0", "TOKENSVC_ROTATION_MARGIN": "0"}
NODE = Path(__file__).parent / "node"


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


@dataclass(frozen=True)
class Library:
    """How a Python library verifies (it returns header and claims, or raises), and its reasons for a refusal as regular expressions."""

    verify: Callable[[str, Target], tuple[dict[str, Any], dict[str, Any]]]
    forged: str
    for_others: str


@pytest.fixture(scope="module")
def process(session_folder: Path) -> Iterator[ServiceProcess]:
    folder = Path(tempfile.mkdtemp(dir=session_folder))
    folder.chmod(0o755)
    started = ServiceProcess(folder, (), AT_ONCE | {"TOKENSVC_JWKS_MAX_AGE": "1"})
    started.wait_until_ready()
    yield started
    started.stop()
    assert find_secrets(started.errors) == []


@pytest.fixture(scope="module")
def cases(process: ServiceProcess) -> dict[str, Case]:
    """Two audiences for each algorithm, their tokens, and a key of each algorithm that signs."""
    for alg in ALGORITHMS:
        for audience in audiences_of(alg):
            operate(process, "audience", "add", audience, "--alg", alg)
        if alg != "ES256":
            operate(
                process, "signing-key", "rotate", "--alg", alg
            )  # or the service makes the first key itself, within ten seconds
    wait_until(
        lambda: (
            {row["alg"] for row in list_signing_keys(process) if row["phase"] == "active"}
            == set(ALGORITHMS)
        )
    )
    key = new_key(process)
    return {alg: make_case(process, key, alg) for alg in ALGORITHMS}


@pytest.fixture(scope="module")
def node_folder(session_folder: Path) -> Path:
    """A folder with our script and the packages of the lock file; skips where Node, npm or a registry is missing."""
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        pytest.skip("node and npm are not installed")
    folder = session_folder / "node"
    shutil.copytree(NODE, folder)
    patience = [
        "--fetch-retries=1",
        "--fetch-retry-mintimeout=500",
        "--fetch-timeout=5000",
    ]  # npm by itself tries for over a minute
    command = [npm, "ci", "--ignore-scripts", *patience]
    installed = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    if installed.returncode != 0 and re.search("network|FetchError", installed.stderr):
        pytest.skip("npm cannot reach a registry")
    assert installed.returncode == 0, installed.stderr
    return folder


def audiences_of(alg: str) -> tuple[str, str]:
    return f"{alg}-orders", f"{alg}-others"


def operate(process: ServiceProcess, *arguments: str) -> Any:
    done = process.cli(*arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def list_signing_keys(process: ServiceProcess) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = operate(process, "signing-key", "list")
    return rows


def make_case(process: ServiceProcess, key: Key, alg: str) -> Case:
    ours, others = audiences_of(alg)
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


def decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def decode_json(part: str) -> Any:
    return json.loads(decode(part))


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def alg_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["alg"])


def check(header: dict[str, Any], claims: dict[str, Any], case: Case) -> None:
    target = case.target
    assert (header["alg"], header["typ"]) == (target.alg, "at+jwt")
    assert (claims["iss"], claims["aud"], claims["client_id"]) == (
        target.issuer,
        target.audience,
        case.key.id,
    )
    assert claims["scope"] == "orders:read"


def verify_with_pyjwt(token: str, target: Target) -> tuple[dict[str, Any], dict[str, Any]]:
    key = jwt.PyJWKClient(target.jwks_url).get_signing_key_from_jwt(token)
    whole = jwt.decode_complete(
        token, key, algorithms=[target.alg], audience=target.audience, issuer=target.issuer
    )
    return whole["header"], whole["payload"]


def verify_with_joserfc(token: str, target: Target) -> tuple[dict[str, Any], dict[str, Any]]:
    keys = joserfc_jwk.KeySet.import_key_set(json.loads(jwks(target.issuer)))
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "EdDSA is deprecated via RFC 9864"
        )  # which names it Ed25519; few libraries know that name
        verified = joserfc_jwt.decode(token, keys, algorithms=[target.alg])
    wanted: Any = {
        "iss": {"essential": True, "value": target.issuer},
        "aud": {"essential": True, "value": target.audience},
    }
    joserfc_jwt.JWTClaimsRegistry(**wanted).validate(verified.claims)
    return verified.header, verified.claims


def verify_with_authlib(token: str, target: Target) -> tuple[dict[str, Any], dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "authlib.jose module is deprecated", DeprecationWarning)
        from authlib.jose import JsonWebKey, JsonWebToken  # noqa: PLC0415 - warns when it is imported
    keys = JsonWebKey.import_key_set(json.loads(jwks(target.issuer)))
    wanted = {
        "iss": {"essential": True, "value": target.issuer},
        "aud": {"essential": True, "value": target.audience},
    }
    claims = JsonWebToken([target.alg]).decode(token, keys, claims_options=wanted)
    claims.validate()
    return claims.header, claims


def verify_with_jwcrypto(token: str, target: Target) -> tuple[dict[str, Any], dict[str, Any]]:
    key = jwcrypto_jwk.JWKSet.from_json(jwks(target.issuer)).get_key(
        jwt.get_unverified_header(token)["kid"]
    )
    wanted = {"iss": target.issuer, "aud": target.audience}
    verified = jwcrypto_jwt.JWT(jwt=token, key=key, algs=[target.alg], check_claims=wanted)
    return json.loads(verified.header), json.loads(verified.claims)


def refusal_of(library: Library, token: str, target: Target) -> str:
    try:
        library.verify(token, target)
    except Exception as error:  # noqa: BLE001 - each library has its own
        return f"{type(error).__name__}: {error}"
    return "none"


PYTHON = {
    "pyjwt": Library(verify_with_pyjwt, "InvalidSignatureError", "InvalidAudienceError"),
    "joserfc": Library(verify_with_joserfc, "BadSignatureError", "InvalidClaimError.*aud"),
    "authlib": Library(verify_with_authlib, "BadSignatureError", "InvalidClaimError.*aud"),
    "jwcrypto": Library(verify_with_jwcrypto, "InvalidJWSSignature", "JWTInvalidClaimValue.*'aud'"),
}
FOR_NODE = {
    "jose": (
        "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
        'ERR_JWT_CLAIM_VALIDATION_FAILED: unexpected "aud" claim value',
    ),
    "jsonwebtoken": (
        "JsonWebTokenError: invalid signature",
        "JsonWebTokenError: jwt audience invalid",
    ),
    "fast-jwt": ("FAST_JWT_INVALID_SIGNATURE", "FAST_JWT_INVALID_CLAIM_VALUE: The aud claim"),
}
LIMITS = {
    ("jsonwebtoken", "EdDSA"): 'Unknown key type "ed25519"'
}  # what a library cannot do, in its own words
PAIRS_FOR_NODE = [
    (library, alg) for library in FOR_NODE for alg in ALGORITHMS if (library, alg) not in LIMITS
]


def ask_node(
    folder: Path, library: str, target: Target, *tokens: str, typ: str = "at+jwt"
) -> list[dict[str, Any]]:
    asked = subprocess.run(
        [
            "node",
            "verify.mjs",
            library,
            target.jwks_url,
            target.issuer,
            target.audience,
            target.alg,
            typ,
        ],
        cwd=folder,
        input="".join(f"{token}\n" for token in tokens),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (asked.returncode, asked.stderr) == (0, "")
    answers = [json.loads(line) for line in asked.stdout.splitlines()]
    assert len(answers) == len(tokens)
    return answers


@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.parametrize("name", PYTHON)
def test_a_python_library_verifies_from_the_jwks(cases, name, alg):
    case, library = cases[alg], PYTHON[name]
    check(*library.verify(case.tokens.good, case.target), case)
    for token, reason in (
        (case.tokens.changed_claims, library.forged),
        (case.tokens.changed_signature, library.forged),
        (case.tokens.for_others, library.for_others),
    ):
        assert re.search(reason, refusal_of(library, token, case.target))


@pytest.mark.parametrize(("name", "alg"), PAIRS_FOR_NODE)
def test_a_library_for_node_verifies_from_the_jwks(cases, node_folder, name, alg):
    case, tokens = cases[alg], cases[alg].tokens
    good, *bad = ask_node(
        node_folder,
        name,
        case.target,
        tokens.good,
        tokens.changed_claims,
        tokens.changed_signature,
        tokens.for_others,
    )
    check(good["header"], good["claims"], case)
    forged, for_others = FOR_NODE[name]
    for answer, reason in zip(bad, (forged, forged, for_others), strict=True):
        assert re.search(reason, answer["refused"])


@pytest.mark.parametrize("name", FOR_NODE)
def test_t7_a_page_of_the_feed_is_no_token_for_a_library_for_node(cases, node_folder, name):
    target = cases["ES256"].target
    with urllib.request.urlopen(f"{target.issuer}/v1/denylist", timeout=10) as answer:
        page = answer.read().decode()
    (answered,) = ask_node(node_folder, name, target, page, typ="any")
    assert re.search("(?i)aud", answered["refused"])


@pytest.mark.parametrize(("name", "alg"), LIMITS)
def test_what_a_library_for_node_cannot_do_is_its_own_limit(cases, node_folder, name, alg):
    case = cases[alg]
    (answer,) = ask_node(node_folder, name, case.target, case.tokens.good)
    assert LIMITS[name, alg] in answer["refused"]
    (other,) = ask_node(node_folder, "jose", case.target, case.tokens.good)
    check(other["header"], other["claims"], case)


def test_one_jwks_holds_the_keys_of_every_algorithm_under_their_wire_names(process, cases):
    keys = {key["kid"]: key for key in json.loads(jwks(process.url))["keys"]}
    assert {key["alg"] for key in keys.values()} == set(ALGORITHMS)
    for alg, case in cases.items():
        for token in (case.tokens.good, case.tokens.for_others):
            header = decode_json(token.split(".")[0])
            key = keys[header["kid"]]
            assert header["alg"] == key["alg"] == alg
            assert (key["kty"], key.get("crv"), key["use"]) == (*KINDS[alg], "sig")


def test_another_algorithm_begins_when_every_cache_has_its_first_key(new_process):
    process = new_process(**AT_ONCE, TOKENSVC_JWKS_MAX_AGE="3")
    process.wait_until_ready()
    key = new_key(process)
    operate(process, "audience", "add", "legacy", "--alg", "RS256")
    assert alg_of(exchange(process.url, key.text, audience="legacy")) == "ES256"

    wait_until(
        lambda: b"RS256" in jwks(process.url), seconds=15
    )  # the service makes the key by itself
    early = exchange(process.url, key.text, audience="legacy")
    assert alg_of(early) == "ES256"
    wait_until(
        lambda: any(
            row["alg"] == "RS256" and row["phase"] == "active" for row in list_signing_keys(process)
        )
    )
    late = exchange(process.url, key.text, audience="legacy")
    assert alg_of(late) == "RS256"

    (active,) = [
        row
        for row in list_signing_keys(process)
        if row["kid"] == jwt.get_unverified_header(late)["kid"]
    ]
    made, began = (datetime.fromisoformat(active[name]) for name in ("created_at", "active_at"))
    assert (began - made).total_seconds() == 3
    for token in (early, late):
        target = Target(
            f"{process.url}/.well-known/jwks.json", process.url, "legacy", alg_of(token)
        )
        _, claims = verify_with_pyjwt(token, target)
        assert (claims["iat"] >= int(began.timestamp())) == (token is late)


def test_the_lock_file_pins_exactly_and_names_no_address():
    package, lock = (NODE / "package.json").read_text(), (NODE / "package-lock.json").read_text()
    locked = json.loads(lock)["packages"]
    for name, version in json.loads(package)["dependencies"].items():
        assert locked[f"node_modules/{name}"]["version"] == version
    assert all(entry["integrity"].startswith("sha512-") for path, entry in locked.items() if path)
    assert "://" not in package + lock
