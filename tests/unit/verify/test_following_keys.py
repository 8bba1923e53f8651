"""How keys are followed: before they expire, through outages, and past caches with old answers."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.factories import make_signing_key
from tests.simulator import START, SimulatedIssuer, reason_of, simulated, simulated_clock
from tests.unit.verify.forging import token_of

from tokensvc.core.jwks import build_jwks
from tokensvc.verify._backoff import new_backoff
from tokensvc.verify._jwks_follower import JwksFollower

if TYPE_CHECKING:
    from tokensvc.verify import JwksAnswer


@simulated
async def test_keys_are_refreshed_before_their_max_age_is_over():
    issuer = SimulatedIssuer(max_age=300)
    async with issuer.make_verifier():
        await asyncio.sleep(3600)
    gaps = [after - before for before, after in itertools.pairwise(issuer.jwks_asked_on)]
    assert len(gaps) >= 14
    assert all(216 <= gap <= 240 for gap in gaps)


@simulated
async def test_an_issuer_that_allows_no_max_age_is_asked_once_a_second():
    issuer = SimulatedIssuer(max_age=0)
    async with issuer.make_verifier():
        await asyncio.sleep(10.5)
    assert len(issuer.jwks_asked_on) == 11


@simulated
async def test_an_unchanged_jwks_is_only_confirmed():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        await asyncio.sleep(241)
        assert issuer.etags_asked[0] is None
        assert issuer.etags_asked[1] is not None
        assert verifier.status().jwks_age < 30
        assert verifier.status().kids == (issuer.signer.kid,)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html>",
        b'{"keys":[]}',
        b'{"keys":[{"kty":"oct","k":"AAAA","kid":"k","alg":"HS256"}]}',
        b'{"keys":' + b"[" * 100_000,
    ],
    ids=["nothing", "a web page", "no keys", "no usable key", "nested too deep"],
)
@simulated
async def test_t16_a_broken_jwks_does_not_replace_the_good_one_and_the_next_good_one_is_taken(
    document,
):
    issuer = SimulatedIssuer(max_age=300)
    async with issuer.make_verifier() as verifier:
        issuer.jwks_lie = document
        await asyncio.sleep(250)
        token, _ = issuer.issue()
        assert reason_of(verifier, token) is None
        assert verifier.status().jwks_error is not None
        issuer.jwks_lie = None
        await asyncio.sleep(31)
        assert verifier.status().jwks_error is None
        issuer.add_revocation("jti", "one more")
        await asyncio.sleep(0.1)
        assert verifier.status().denylist_entries == 1


# --- keys that are removed or replaced -----------------------------------------------------------


@simulated
async def test_a_removed_key_is_refused_within_max_age():
    issuer = SimulatedIssuer(max_age=300)
    async with issuer.make_verifier() as verifier:
        old = issuer.signer
        remembered, _ = issuer.issue(exp=START + 3600)
        fresh, _ = issuer.issue(exp=START + 3600)
        assert reason_of(verifier, remembered) is None
        issuer.rotate()
        issuer.withdraw(old.kid)
        await asyncio.sleep(300)
        assert reason_of(verifier, remembered) == "unknown_kid"
        assert reason_of(verifier, fresh) == "unknown_kid"


@simulated
async def test_a_remembered_token_is_refused_once_its_kid_names_another_key():
    issuer = SimulatedIssuer(max_age=300)
    async with issuer.make_verifier(when_stale="accept") as verifier:
        token, _ = issuer.issue(exp=START + 3600)
        assert reason_of(verifier, token) is None
        _, _, jwk = make_signing_key()
        issuer.jwks_lie = build_jwks(
            [jwk | {"kid": issuer.signer.kid}, issuer.published[0] | {"kid": "another"}]
        )
        await asyncio.sleep(300)
        assert len(verifier.status().kids) == 2
        assert reason_of(verifier, token) == "bad_signature"


@simulated
async def test_a_key_that_stays_in_the_jwks_stays_the_same_object_so_its_tokens_stay_remembered():
    issuer = SimulatedIssuer()
    follower = JwksFollower(issuer, "", simulated_clock(), cooldown=30)
    assert follower.snapshot() is None
    follower.take(issuer.answer_jwks(), 0)
    key = follower.keys[issuer.signer.kid]
    issuer.published.append(make_signing_key()[2])
    follower.take(issuer.answer_jwks(), 1)
    assert len(follower.keys) == 2
    assert follower.keys[issuer.signer.kid] is key


# --- caches --------------------------------------------------------------------------------------


@simulated
async def test_an_old_answer_from_a_cache_replaces_nothing():
    issuer = SimulatedIssuer(max_age=300)
    old_document = build_jwks(issuer.published)
    issuer.rotate()
    async with issuer.make_verifier() as verifier:
        kids = verifier.status().kids
        issuer.jwks_lie, issuer.cached_for = old_document, 280.0
        await asyncio.sleep(250)
        assert verifier.status().kids == kids
        assert "older than the keys held" in str(verifier.status().jwks_error)
        issuer.jwks_lie, issuer.cached_for = None, 0.0
        await asyncio.sleep(31)
        assert verifier.status().jwks_error is None


@simulated
async def test_time_spent_in_a_cache_counts_toward_the_age_of_keys():
    issuer = SimulatedIssuer(max_age=300)
    issuer.cached_for = 200.0
    async with issuer.make_verifier() as verifier:
        assert verifier.status().jwks_age == 200
        await asyncio.sleep(50)
        assert 2 <= len(issuer.jwks_asked_on) <= 4  # every 16 to 40 s
        assert 200 <= verifier.status().jwks_age <= 240


# --- outages -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("jwks_stale_if_error", "ends"), [(600, 900), (0, 300)])
@simulated
async def test_keys_are_used_beyond_their_max_age_only_for_as_long_as_allowed(
    jwks_stale_if_error, ends
):
    issuer = SimulatedIssuer(max_age=300)
    verifier = issuer.make_verifier(when_stale="accept", jwks_stale_if_error=jwks_stale_if_error)
    async with verifier:
        issuer.go_down()
        await asyncio.sleep(ends)
        token, _ = issuer.issue()
        assert reason_of(verifier, token) is None
        assert verifier.status().jwks_error is not None
        await asyncio.sleep(1)
        assert reason_of(verifier, token) == "no_keys"
        issuer.down = False
        await asyncio.sleep(31)
        assert reason_of(verifier, token) is None


@simulated
async def test_an_issuer_that_is_away_is_asked_once_per_backoff_step():
    issuer = SimulatedIssuer(max_age=300)
    async with issuer.make_verifier(when_stale="accept", jwks_cooldown=0.5) as verifier:
        issuer.go_down()
        for number in range(6000):
            reason_of(verifier, token_of(f"random{number}"))
            await asyncio.sleep(0.1)
    failed = [moment for moment in issuer.jwks_asked_on if moment > 0]
    gaps = [after - before for before, after in itertools.pairwise(failed)]
    assert len(gaps) > 15
    for step, gap in enumerate(gaps, 1):
        longest = min(30.0, 2.0 ** (step - 1))
        assert longest / 2 <= gap <= longest


@simulated
async def test_without_any_key_the_issuer_is_asked_every_one_to_two_seconds():
    issuer = SimulatedIssuer()
    issuer.down = True
    async with issuer.make_verifier() as verifier:
        await asyncio.sleep(600)
        assert 300 <= len(issuer.jwks_asked_on) <= 610
        issuer.down = False
        await asyncio.sleep(2.1)
        assert reason_of(verifier, issuer.issue()[0]) is None


@pytest.mark.parametrize("failures", [1, 2, 10, 10_000])
def test_a_backoff_has_a_limit_and_is_spread(failures):
    pauses = {new_backoff(failures, longest=30) for _ in range(100)}
    assert len(pauses) > 50
    assert all(0.5 <= pause <= 30 for pause in pauses)


ODD_ETAGS = {
    "bytes that are no UTF-8": '"\udcff\udcfe"',
    "control characters": '"a\x01b"',
    "deleted": '"a\x7fb"',
    "a line break": '"a"\r\nX: y',
    "not ASCII": 'W/"\xe9"',
    "no quotes": "x: y",
    "several": '"a", "b", *',
    "a long one": '"' + "x" * 7000 + '"',
}


@pytest.mark.parametrize("etag", ODD_ETAGS.values(), ids=ODD_ETAGS)
@simulated
async def test_an_etag_that_cannot_be_sent_back_is_not_kept(etag, monkeypatch):
    issuer = SimulatedIssuer(max_age=1)
    honest = issuer.fetch_jwks

    async def answer_oddly(*question: Any) -> JwksAnswer:
        answer = await honest(*question)
        return replace(answer, etag=etag) if len(issuer.jwks_asked_on) == 1 else answer

    monkeypatch.setattr(issuer, "fetch_jwks", answer_oddly)
    async with issuer.make_verifier() as verifier:
        await asyncio.sleep(3)
        assert issuer.etags_asked[1] is None
        assert issuer.etags_asked[2] is not None
        assert verifier.status().jwks_error is None
