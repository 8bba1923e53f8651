"""Whatever JSON stands in the place of any value, what reads it refuses it as it says."""

from __future__ import annotations

import contextlib
import json
from hashlib import sha256
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.factories import ISSUER, make_signing_key

from tokensvc.core.audit_claim import parse_claim
from tokensvc.core.audit_witness import parse_witness
from tokensvc.core.denylist.page import PAGE_AUDIENCE, parse_feed_page
from tokensvc.core.errors import InvalidPageError
from tokensvc.core.jwks import parse_jwks
from tokensvc.core.steps import run_steps
from tokensvc.verify._snapshot import SnapshotError, parse_snapshot

_NUMBERS = [1e999, -1e999, float("nan"), 1e308, 1.5, 10**400, -1, 0, 2**63, True]
_TEXTS = ["", "1" * 5000, "\ud800", "\x00", "\u0661", "AQAB", "00" * 16, "P-256", "secp256k1"]
_junk = st.recursive(
    st.none() | st.sampled_from(_NUMBERS) | st.sampled_from(_TEXTS) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_TEXTS), inner, max_size=2)
    ),
    max_leaves=4,
)
_WITNESS = {
    "epoch": "e",
    "number": 7,
    "hash": "00" * 32,
    "seen_at": 1,
    "problem": None,
    "resets": [["d", 1, 2]],
    "heads": {"6": "00" * 16},
}
_CLAIM = {"epoch": "e", "number": 7, "hash": "00" * 32, "earlier": {"6": "00" * 16, "5": None}}
_ENTRIES = [{"jti": "j", "exp": 1}, {"key": "k", "exp": 1, "upto": 1}]
_PAGE = {
    "iss": ISSUER,
    "aud": PAGE_AUDIENCE,
    "iat": 1,
    "exp": 2,
    "cursor": "1-a",
    "head": "1-a",
    "after": None,
    "full": True,
    "audit": _CLAIM,
    "entries": _ENTRIES,
}
_JWKS = {"keys": [make_signing_key(alg)[2] for alg in ("ES256", "EdDSA", "RS256")]}
_SNAPSHOT = [
    {
        "format": 2,
        "issuer": ISSUER,
        "jwks": {"document": "{}", "etag": None, "max_age": 300, "confirmed_at": 1},
        "denylist": {
            "cursor": "1-a",
            "page_issued_at": 1,
            "resets": 0,
            "condemned": ["k"],
            "confirmed_at": 1,
            "audit": _WITNESS,
        },
    },
    ["k", _ENTRIES],
]


def list_places(value: Any) -> list[list[Any]]:
    """Return the ways to all values inside `value`, itself among them."""
    if not isinstance(value, dict | list):
        return [[]]
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [[], *([name, *way] for name, one in inner for way in list_places(one))]


def put(value: Any, way: list[Any], junk: Any) -> Any:
    if not way:
        return junk
    changed = value.copy()
    changed[way[0]] = put(value[way[0]], way[1:], junk)
    return changed


def spoil(value: Any) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda way, junk: put(value, way, junk), st.sampled_from(list_places(value)), _junk
    )


@given(spoil(_WITNESS))
def test_any_witness_is_read_or_a_value_error(kept):
    with contextlib.suppress(ValueError):
        parse_witness(kept)


@given(spoil(_CLAIM))
def test_any_claim_is_read_or_a_value_error(claim):
    with contextlib.suppress(ValueError):
        parse_claim(claim)


@given(spoil(_PAGE).filter(lambda page: isinstance(page, dict)))
def test_any_page_is_read_or_malformed(page):
    with contextlib.suppress(InvalidPageError):
        run_steps(parse_feed_page(page))


@given(spoil(_JWKS))
def test_any_jwks_is_read_or_a_value_error(jwks):
    with contextlib.suppress(ValueError):
        parse_jwks(json.dumps(jwks).encode())


@given(spoil(_SNAPSHOT))
def test_any_snapshot_is_read_or_refused(lines):
    lines = lines if isinstance(lines, list) else [lines]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    with contextlib.suppress(SnapshotError):
        text = body + sha256(body).hexdigest().encode()
        parse_snapshot(text, issuer=ISSUER, now=10, leeway=0)
