"""What a lying network can send in place of a denylist page: the last good list is kept, and its age tells."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from tests.factories import make_claims, make_signing_key
from tests.simulator import START, SimulatedIssuer, encode_part, simulated, unsigned_part

from tokensvc.core.claims import build_payload
from tokensvc.core.denylist.page import build_page_payload
from tokensvc.core.jwks import build_jwks
from tokensvc.core.token import DENYLIST_PAGE
from tokensvc.verify import InvalidTokenError

if TYPE_CHECKING:
    from collections.abc import Callable


def changed(**changes: Any) -> Callable[[SimulatedIssuer], str]:
    """A page that the issuer signed, but for what is changed in its JSON."""

    def lie(issuer: SimulatedIssuer) -> str:
        payload = build_page_payload(issuer.build_page(issuer.log.head)) | changes
        return issuer.sign_page(
            {name: value for name, value in payload.items() if value is not ...}
        )

    return lie


def by_stranger(issuer: SimulatedIssuer) -> str:
    return issuer.sign_page(issuer.build_page(issuer.log.head), key=make_signing_key()[0])


def by_stranger_under_our_kid(issuer: SimulatedIssuer) -> str:
    signed = issuer.sign_page(issuer.build_page(issuer.log.head), key=make_signing_key()[0])
    header = {"typ": DENYLIST_PAGE[0], "alg": "ES256", "kid": issuer.signer.kid}
    return f"{unsigned_part(header)}.{signed.partition('.')[2]}"


def replayed(issuer: SimulatedIssuer) -> str:
    return issuer.sign_page(
        replace(issuer.build_page(None), issued_at=int(issuer.now()) - 8, entries=())
    )


def gapped(issuer: SimulatedIssuer) -> str:
    page = build_page_payload(issuer.build_page(issuer.log.head))
    return issuer.sign_page(page | {"after": "8-x", "cursor": "9-y"})


def truncated(issuer: SimulatedIssuer) -> str:
    return issuer.sign_page(issuer.build_page(issuer.log.head))[:-7]


def the_jwks(issuer: SimulatedIssuer) -> str:
    return build_jwks(issuer.published).decode()


def unsigned(issuer: SimulatedIssuer) -> str:
    header = {"typ": DENYLIST_PAGE[0], "alg": "none", "kid": issuer.signer.kid}
    return (
        f"{unsigned_part(header)}.{unsigned_part(build_page_payload(issuer.build_page(None)))}.AAAA"
    )


def a_token(issuer: SimulatedIssuer) -> str:
    return issuer.issue()[0]


def token_under_our_typ(issuer: SimulatedIssuer) -> str:
    return issuer.sign(build_payload(make_claims()), typ=DENYLIST_PAGE[0])


LIES: dict[str, tuple[Callable[[SimulatedIssuer], str], str, bool]] = {
    "nothing": (lambda _: "", "malformed_token", False),
    "a web page": (lambda _: "<html>sign in</html>", "malformed_token", False),
    "not ASCII": (lambda _: "\ufffd" * 10, "malformed_token", False),
    "truncated": (truncated, "bad_signature", False),
    "the JWKS": (the_jwks, "malformed_token", False),
    "a token": (a_token, "wrong_type", False),
    "a token's claims under the type of a page": (token_under_our_typ, "malformed_page", True),
    "unsigned": (unsigned, "algorithm_not_allowed", False),
    "signed by a stranger": (by_stranger, "unknown_kid", False),
    "signed by a stranger under our kid": (by_stranger_under_our_kid, "bad_signature", False),
    "payload is a list": (lambda i: _signed_bytes(i, b"[]"), "malformed_token", False),
    "replayed": (replayed, "page_replayed", True),
    "gapped": (gapped, "page_not_contiguous", True),
    "expired": (changed(iat=START - 100, exp=START - 40), "page_out_of_date", True),
    "from the future": (changed(iat=START + 33, exp=START + 93), "page_out_of_date", True),
    "of another issuer": (changed(iss="http://other.example"), "wrong_issuer", True),
    "without entries": (changed(entries=...), "malformed_page", True),
    "with a malformed entry": (
        changed(entries=[{"jti": "j", "exp": "soon"}]),
        "malformed_page",
        True,
    ),
    "of an unreal time": (changed(iat=10**400), "malformed_page", True),
    "of an unreal end": (changed(exp=10**400), "malformed_page", True),
}


def _signed_bytes(issuer: SimulatedIssuer, body: bytes) -> str:
    header = {"typ": DENYLIST_PAGE[0], "kid": issuer.signer.kid}
    return jwt.PyJWS().encode(body, issuer.signer.private_key, algorithm="ES256", headers=header)


@pytest.mark.parametrize(("lie", "reason", "asks_for_all"), LIES.values(), ids=LIES)
@simulated
async def test_a_lie_changes_nothing_and_the_next_good_page_mends_it(lie, reason, asks_for_all):
    issuer = SimulatedIssuer(wait_is_kept=False)
    issuer.deny("jti", "known")
    verifier = issuer.make_verifier()
    await verifier._jwks.fetch_once()
    await verifier._feed.poll_once()
    before = verifier.status()
    assert (before.denylist_cursor, before.denylist_entries, before.denylist_error) == (
        str(issuer.log.head),
        1,
        None,
    )

    await asyncio.sleep(2)
    text = lie(issuer)
    issuer.page_lie = lambda _after: text
    await verifier._feed.poll_once()
    after = verifier.status()
    assert after.denylist_error == reason
    assert (after.denylist_cursor, after.denylist_entries) == (before.denylist_cursor, 1)
    assert after.denylist_age == before.denylist_age + 2

    issuer.page_lie = None
    issuer.deny("jti", "news")
    await verifier._feed.poll_once()
    assert issuer.pages_asked[-1] == (None if asks_for_all else before.denylist_cursor)
    mended = verifier.status()
    assert (mended.denylist_cursor, mended.denylist_entries, mended.denylist_error) == (
        str(issuer.log.head),
        2,
        None,
    )
    assert mended.denylist_age == 0


@simulated
async def test_a_page_signed_by_a_denied_key_is_refused_even_if_the_key_is_published():
    issuer = SimulatedIssuer(wait_is_kept=False)
    stolen = issuer.signer
    issuer.rotate()
    verifier = issuer.make_verifier()
    await verifier._jwks.fetch_once()
    issuer.deny("kid", stolen.kid)
    await verifier._feed.poll_once()
    issuer.page_lie = lambda _after: issuer.sign_page(issuer.build_page(None), key=stolen)
    await verifier._feed.poll_once()
    assert verifier.status().denylist_error == "page_signed_by_denied_key"


@simulated
async def test_a_page_may_be_signed_with_any_of_our_algorithms():
    issuer = SimulatedIssuer(wait_is_kept=False)
    issuer.rotate("EdDSA")
    verifier = issuer.make_verifier()
    await verifier._jwks.fetch_once()
    await verifier._feed.poll_once()
    assert verifier.status().ready


@simulated
async def test_after_a_failover_own_entries_are_kept_and_the_reset_is_reported(caplog):
    issuer = SimulatedIssuer(wait_is_kept=False)
    verifier = issuer.make_verifier()
    await verifier._jwks.fetch_once()
    _, kept = issuer.issue()
    lost_token, lost = issuer.issue()
    issuer.deny("jti", kept.jti)
    issuer.deny("jti", lost.jti)
    await verifier._feed.poll_once()

    issuer.fail_over(1)
    new_token, new = issuer.issue()
    issuer.deny("jti", new.jti)  # under the number that was lost
    await asyncio.sleep(1)
    await verifier._feed.poll_once()
    status = verifier.status()
    assert (status.denylist_resets, status.denylist_entries, status.denylist_cursor) == (
        1,
        3,
        str(issuer.log.head),
    )
    assert "the issuer's denylist went back" in caplog.text
    for token in (lost_token, new_token):
        with pytest.raises(InvalidTokenError, match="invalid, expired or revoked"):
            verifier.verify(token)


@simulated
async def test_an_old_page_proves_no_freshness():
    issuer = SimulatedIssuer(wait_is_kept=False)
    verifier = issuer.make_verifier(leeway=5)
    await verifier._jwks.fetch_once()
    old = issuer.sign_page(issuer.build_page(None))
    await asyncio.sleep(50)
    issuer.page_lie = lambda _after: old
    await verifier._feed.poll_once()
    assert verifier.status().denylist_age == pytest.approx(45)


@simulated
async def test_snapshots_of_a_hundred_thousand_entries_are_taken():
    issuer = SimulatedIssuer(wait_is_kept=False)
    verifier = issuer.make_verifier()
    await verifier._jwks.fetch_once()
    entries = [{"jti": f"jti{number:017}", "exp": START + 720} for number in range(100_000)]
    payload = build_page_payload(issuer.build_page(None)) | {"entries": entries}
    issuer.page_lie = lambda _after: issuer.sign_page(payload)
    await verifier._feed.poll_once()
    assert verifier.status().denylist_entries == 100_000
    assert len(encode_part(json.dumps(payload).encode())) > 1_000_000
