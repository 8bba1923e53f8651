"""Libraries for Node that know nothing of us verify tokens of every algorithm, from one JWKS."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.interop import (
    ALGORITHMS,
    Case,
    Target,
    make_cases,
    start_with_every_algorithm,
)
from tests.services import starting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.databases import Databases

NODE = Path(__file__).parent / "node"
# npm by itself tries for over a minute
NO_REGISTRY = r"network|FetchError|TIMEOUT|code E(429|5\d\d)"
IMPATIENT = ("--fetch-retries=1", "--fetch-retry-mintimeout=500", "--fetch-timeout=5000")


if shutil.which("node") is None or shutil.which("npm") is None:
    # The whole file, so that the summary says it once.
    pytest.skip(
        "NO LIBRARY FOR NODE WAS ASKED: node and npm are not installed", allow_module_level=True
    )


@pytest.fixture(scope="module")
def cases(
    session_folder: Path, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Case]]:
    url = databases.take("migrated")
    with starting(session_folder) as start:
        process = start_with_every_algorithm(start, url, str(tmp_path_factory.mktemp("keys")))
        yield make_cases(process)
    databases.drop(url)


@pytest.fixture(scope="module")
def node_folder(session_folder: Path) -> Path:
    """A folder with our script and the packages of the lock file. Skips without a registry."""
    folder = session_folder / "node"
    shutil.copytree(NODE, folder)
    installed = subprocess.run(
        ["npm", "ci", "--ignore-scripts", *IMPATIENT],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode != 0 and re.search(NO_REGISTRY, installed.stderr):
        pytest.skip("NO LIBRARY FOR NODE WAS ASKED: npm cannot reach a registry")
    assert installed.returncode == 0, installed.stderr
    return folder


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
# what a library cannot do, in its own words
LIMITS = {("jsonwebtoken", "EdDSA"): 'Unknown key type "ed25519"'}
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
    )
    assert (asked.returncode, asked.stderr) == (0, "")
    answers = [json.loads(line) for line in asked.stdout.splitlines()]
    assert len(answers) == len(tokens)
    return answers


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
    case.check(good["header"], good["claims"])
    forged, for_others = FOR_NODE[name]
    for answer, reason in zip(bad, (forged, forged, for_others), strict=True):
        assert re.search(reason, answer["refused"])


@pytest.mark.parametrize("name", FOR_NODE)
def test_t7_a_page_of_the_feed_is_no_token_for_a_library_for_node(cases, node_folder, name):
    target = cases["ES256"].target
    with urllib.request.urlopen(f"{target.issuer}/v1/denylist") as answer:
        page = answer.read().decode()
    (answered,) = ask_node(node_folder, name, target, page, typ="any")
    assert re.search("(?i)aud", answered["refused"])


@pytest.mark.parametrize(("name", "alg"), LIMITS)
def test_what_a_library_for_node_cannot_do_is_its_own_limit(cases, node_folder, name, alg):
    case = cases[alg]
    (answer,) = ask_node(node_folder, name, case.target, case.tokens.good)
    assert LIMITS[name, alg] in answer["refused"]
    (other,) = ask_node(node_folder, "jose", case.target, case.tokens.good)
    case.check(other["header"], other["claims"])
