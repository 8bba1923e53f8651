"""How revocations reach a verifier, and stay."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tests.factories import ACCOUNT_ID, KEY_ID
from tests.simulator import SimulatedIssuer, reason_of, simulated

from tokensvc.core.identifier import Jti, Kid
from tokensvc.verify import InvalidPageError, InvalidTokenError, JwksAnswer

REVOCATIONS: dict[str, Any] = {
    "jti": lambda issuer, claims: issuer.add_revocation("jti", claims.jti),
    "origin_jti": lambda issuer, _claims: issuer.add_revocation("jti", "origin"),
    "key": lambda issuer, claims: issuer.add_revocation("key", KEY_ID, upto=claims.iat),
    "account": lambda issuer, claims: issuer.add_revocation("account", ACCOUNT_ID, upto=claims.iat),
    "kid": lambda issuer, _claims: issuer.add_revocation("kid", issuer.signer.kid),
    "origin_kid": lambda issuer, _claims: issuer.add_revocation("kid", "before"),
}


@pytest.mark.parametrize("seen", [True, False], ids=["remembered", "new"])
@pytest.mark.parametrize(("kind", "revoke"), REVOCATIONS.items(), ids=REVOCATIONS)
@simulated
async def test_a_revocation_reaches_a_waiting_verifier_at_once(kind, revoke, seen):
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        token, claims = issuer.issue(origin_jti=Jti("origin"), origin_kid=Kid("before"))
        other, _ = issuer.issue(iat=claims.iat + 1, origin_jti=Jti("another"))
        if seen:
            assert reason_of(verifier, token) is None
        issuer.rotate()
        issuer.keys.reverse()
        revoke(issuer, claims)
        await asyncio.sleep(0.01)
        assert reason_of(verifier, token) == f"revoked_{kind.removeprefix('origin_')}"
        assert reason_of(verifier, other) == ("revoked_kid" if kind == "kid" else None)


@simulated
async def test_everything_is_asked_for_once_and_then_only_what_is_new():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        for number in range(20):
            _, claims = issuer.issue()
            issuer.add_revocation("jti", claims.jti)
            await asyncio.sleep(0.01)
            assert verifier.status().denylist_entries == number + 1
        assert issuer.pages_asked.count(None) == 1


@pytest.mark.parametrize("leeway", [0.0, 30.0, 60.0])
@simulated
async def test_t11_a_revoked_token_never_comes_back_whatever_leeway_is_allowed(leeway):
    issuer = SimulatedIssuer()
    async with issuer.make_verifier(leeway=leeway) as verifier:
        token, claims = issuer.issue()
        issuer.add_revocation("jti", claims.jti, life=600 + 120)
        for _ in range(1000):
            await asyncio.sleep(1)
            assert reason_of(verifier, token) is not None


@simulated
async def test_keys_and_pages_that_somebody_else_has_fetched_are_checked_as_always():
    issuer = SimulatedIssuer()
    verifier = issuer.make_verifier()
    with pytest.raises(InvalidTokenError):
        verifier.take(page=issuer.page())  # no key for it yet
    with pytest.raises(ValueError, match="no usable key"):
        verifier.take(jwks=JwksAnswer(document=b'{"keys":[]}', etag=None, max_age=300.0))
    assert verifier.status().kids == ()
    verifier.take(jwks=issuer.answer_jwks(), page=issuer.page())
    token, _ = issuer.issue()
    assert reason_of(verifier, token) is None
    issuer.revoke(token=token)
    verifier.take(page=issuer.page(verifier.status().denylist_cursor))
    assert reason_of(verifier, token) == "revoked_jti"
    with pytest.raises(InvalidPageError):
        verifier.take(page=issuer.sign_page(replace(issuer.build_page(None), full=False)))
