"""Verified tokens are remembered: a limited number, and never in place of what must be checked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.factories import make_claims, make_signing_key
from tests.simulator import SimulatedIssuer, reason_of, simulated, simulated_clock

from tokensvc.verify import InvalidTokenError
from tokensvc.verify._followers import FollowerTasks
from tokensvc.verify._options import VerifierOptions
from tokensvc.verify._token_checker import TokenChecker
from tokensvc.verify._verified_tokens import VerifiedTokens


@pytest.mark.parametrize("most", [0, 1, 10])
def test_the_tokens_seen_last_are_remembered_up_to_the_limit(most):
    tokens = VerifiedTokens(most=most)
    _, key, _ = make_signing_key()
    for number in range(50):
        if tokens.find("favourite") is None:
            tokens.remember("favourite", make_claims(), key)
        tokens.remember(f"token {number}", make_claims(), key)
        assert len(tokens) <= most
    assert ("favourite" in tokens) is (most > 1)
    assert ("token 49" in tokens) is (most > 0)
    assert "token 30" not in tokens


def test_a_token_comes_back_with_its_claims_and_its_very_key_until_it_is_forgotten():
    tokens = VerifiedTokens(most=1)
    claims, (_, key, _) = make_claims(), make_signing_key()
    tokens.remember("token", claims, key)
    assert tokens.find("token") == (claims, key)
    tokens.forget("token")
    tokens.forget("token")
    assert tokens.find("token") is None


@simulated
async def test_only_a_good_token_is_remembered():
    issuer = SimulatedIssuer()
    values: dict[str, Any] = {"fetcher": issuer, "clock": simulated_clock()}
    options = VerifierOptions(issuer=issuer.issuer, audience="api", **values)
    followers, tokens = FollowerTasks(options), VerifiedTokens(most=10)
    followers.jwks.take(issuer.answer_jwks(), 0)
    followers.feed.take(issuer.page())
    checker = TokenChecker(options, followers.jwks, followers.feed, followers.freshness, tokens)
    with pytest.raises(InvalidTokenError):
        checker.check(issuer.issue(aud="billing")[0])
    assert len(tokens) == 0
    good, claims = issuer.issue()
    assert checker.check(good) == claims
    assert good in tokens


@simulated
async def test_a_remembered_token_expires_on_time():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier(leeway=10) as verifier:
        token, _ = issuer.issue()
        for _ in range(609):
            assert reason_of(verifier, token) is None
            await asyncio.sleep(1)
        await asyncio.sleep(1)
        assert reason_of(verifier, token) == "expired"
