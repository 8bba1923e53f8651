"""How keys are followed: ahead of their expiry, through outages, floods of unknown kids and caches that live in the past."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from tests.factories import make_signing_key
from tests.simulator import START, SimulatedIssuer, encode_part, reason_of, simulated, unsigned_part

from tokensvc.core.identifier import Kid
from tokensvc.core.jwks import build_jwks
from tokensvc.verify.refresh import backoff
from tokensvc.verify.unknown import MOST_KIDS, UnknownKids


@simulated
async def test_keys_are_refreshed_before_their_age_runs_out():
    issuer = SimulatedIssuer(max_age=300)
    async with issuer.make_verifier():
        await asyncio.sleep(3600)
    gaps = [
        after - before
        for before, after in zip(issuer.jwks_asked_at, issuer.jwks_asked_at[1:], strict=False)
    ]
    assert len(gaps) >= 14
    assert all(216 <= gap <= 240 for gap in gaps)


@simulated
async def test_an_issuer_that_allows_no_age_is_asked_once_a_second():
    issuer = SimulatedIssuer(max_age=0)
    async with issuer.make_verifier():
        await asyncio.sleep(10.5)
    assert len(issuer.jwks_asked_at) == 11


@simulated
async def test_an_unchanged_jwks_is_only_confirmed():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        await asyncio.sleep(241)
        assert issuer.etags_asked[0] is None
        assert issuer.etags_asked[1] is not None
        assert verifier.status().jwks_age < 30
        assert verifier.status().kids == (issuer.signer.kid,)


@simulated
async def test_a_key_nobody_announced_is_found_once_the_cooldown_is_over():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        issuer.rotate()
        token, _ = issuer.issue()
        assert reason_of(verifier, token) == "unknown_kid"
        await asyncio.sleep(29)
        assert reason_of(verifier, token) == "unknown_kid"
        await asyncio.sleep(1)
        assert reason_of(verifier, token) == "unknown_kid"
        await asyncio.sleep(0.1)
        assert reason_of(verifier, token) is None


@pytest.mark.parametrize(("ceiling", "ends"), [(600, 900), (0, 300)])
@simulated
async def test_keys_outlive_an_outage_up_to_the_ceiling(ceiling, ends):
    issuer = SimulatedIssuer(max_age=300)
    verifier = issuer.make_verifier(when_stale="accept", jwks_stale_if_error=ceiling)
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
async def test_a_broken_jwks_does_not_displace_the_good_one_and_is_got_over(document):
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
        issuer.deny("jti", "one more")
        await asyncio.sleep(0.1)
        assert verifier.status().denylist_entries == 1


# --- unknown kids ----------------------------------------------------------------------------------------------------------


def token_of(kid: str) -> str:
    """A token that costs a flooder nothing: any kid, any signature."""
    return f"{unsigned_part({'typ': 'at+jwt', 'alg': 'ES256', 'kid': kid})}.{unsigned_part({})}.{encode_part(bytes(64))}"


@simulated
async def test_ten_thousand_random_kids_in_ten_seconds_cost_one_fetch_and_no_valid_token():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier(remember=0) as verifier:
        await asyncio.sleep(100)
        asked = len(issuer.jwks_asked_at)
        token, _ = issuer.issue()
        for number in range(10_000):
            assert reason_of(verifier, token_of(f"random{number}")) == "unknown_kid"
            if number % 100 == 0:
                assert reason_of(verifier, token) is None
            await asyncio.sleep(0.001)
        assert len(issuer.jwks_asked_at) - asked == 1
        assert len(verifier._jwks._unknown) == MOST_KIDS


@simulated
async def test_a_lasting_flood_of_random_kids_costs_one_fetch_per_cooldown_and_hides_no_new_key():
    issuer = SimulatedIssuer(max_age=100_000)
    async with issuer.make_verifier() as verifier:
        for number in range(3000):
            reason_of(verifier, token_of(f"random{number}"))
            await asyncio.sleep(0.1)
            assert len(issuer.jwks_asked_at) <= 1 + asyncio.get_running_loop().time() // 30
        assert len(issuer.jwks_asked_at) >= 9
        issuer.rotate()
        token, _ = issuer.issue()
        for number in range(310):
            reason_of(verifier, token)
            reason_of(verifier, token_of(f"more{number}"))
            await asyncio.sleep(0.1)
        assert reason_of(verifier, token) is None


@simulated
async def test_one_unknown_kid_that_is_sent_for_ever_is_asked_for_ever_more_rarely():
    issuer = SimulatedIssuer(max_age=100_000)
    async with issuer.make_verifier() as verifier:
        stranger, _, _ = make_signing_key()
        token = issuer.sign({}, key=stranger)
        for _ in range(3600):
            assert reason_of(verifier, token) == "unknown_kid"
            await asyncio.sleep(1)
        assert len(issuer.jwks_asked_at) <= 17


@simulated
async def test_unknown_kids_cause_no_fetch_while_the_issuer_is_away():
    issuer = SimulatedIssuer(max_age=300)
    async with issuer.make_verifier(jwks_cooldown=1, when_stale="accept") as verifier:
        issuer.go_down()
        await asyncio.sleep(240)
        asked, began = len(issuer.jwks_asked_at), asyncio.get_running_loop().time()
        for number in range(6000):
            reason_of(verifier, token_of(f"random{number}"))
            await asyncio.sleep(0.1)
        assert (
            len(issuer.jwks_asked_at) - asked
            <= (asyncio.get_running_loop().time() - began) / 15 + 6
        )
        assert len(issuer.jwks_asked_at) - asked >= 600 / 30


def test_a_kid_that_turns_up_during_a_fetch_is_not_counted_as_missed_by_it():
    unknown = UnknownKids(cooldown=30)
    assert unknown.ask(Kid("before"), 0)
    hoped_for = unknown.begin(0)
    assert not unknown.ask(Kid("during"), 1)
    unknown.settle(hoped_for, {})
    assert unknown.ask(Kid("during"), 30)
    assert unknown.ask(Kid("before"), 30)
    unknown.settle(unknown.begin(30), {Kid("during"): 1})
    assert len(unknown) == 1
    assert not unknown.ask(Kid("before"), 60)
    assert unknown.ask(Kid("before"), 90)
    assert unknown.ask(Kid("new"), 60)


def test_a_kid_that_is_not_asked_for_any_more_is_not_put_off_further():
    unknown = UnknownKids(cooldown=30)
    unknown.ask(Kid("k"), 0)
    for moment in (0, 30, 60, 90):
        unknown.settle(unknown.begin(moment), {})
    assert unknown.ask(Kid("k"), 120)


def test_a_kid_that_was_forgotten_meanwhile_is_nothing_to_settle():
    unknown = UnknownKids(cooldown=30)
    unknown.ask(Kid("first"), 0)
    hoped_for = unknown.begin(0)
    for number in range(MOST_KIDS):
        unknown.ask(Kid(f"k{number}"), 1)
    unknown.settle(hoped_for, {})
    assert len(unknown) == MOST_KIDS


# --- removal, caches, answers out of order ---------------------------------------------------------------------------------


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
        assert (reason_of(verifier, remembered), reason_of(verifier, fresh)) == (
            "unknown_kid",
            "unknown_kid",
        )


@simulated
async def test_a_kid_that_names_another_key_now_takes_no_remembered_token_along():
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
        assert token not in verifier._memory


@simulated
async def test_a_new_document_with_the_same_key_keeps_what_was_verified_with_it():
    issuer = SimulatedIssuer(max_age=300)
    async with issuer.make_verifier() as verifier:
        token, _ = issuer.issue()
        assert reason_of(verifier, token) is None
        key = verifier._jwks.keys[issuer.signer.kid]
        issuer.published.append(make_signing_key()[2])
        await asyncio.sleep(300)
        assert len(verifier.status().kids) == 2
        assert verifier._jwks.keys[issuer.signer.kid] is key
        assert reason_of(verifier, token) is None


@simulated
async def test_an_answer_from_a_cache_that_lives_in_the_past_overwrites_nothing():
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
        assert 2 <= len(issuer.jwks_asked_at) <= 4  # every 16 to 40 s
        assert 200 <= verifier.status().jwks_age <= 240


@simulated
async def test_there_is_one_fetch_at_a_time_however_slow_it_is_and_whoever_asks():
    issuer = SimulatedIssuer(max_age=10)
    issuer.latency = 4.0
    async with issuer.make_verifier(jwks_cooldown=0) as verifier:
        for number in range(600):
            reason_of(verifier, token_of(f"random{number}"))
            await asyncio.sleep(0.1)
    assert len(issuer.jwks_asked_at) <= 1 + 65 / 4


# --- outages ---------------------------------------------------------------------------------------------------------------


@simulated
async def test_an_issuer_that_is_away_is_asked_once_per_backoff_step():
    issuer = SimulatedIssuer(max_age=300)
    async with issuer.make_verifier(when_stale="accept", jwks_cooldown=0.5) as verifier:
        issuer.go_down()
        for number in range(6000):
            reason_of(verifier, token_of(f"random{number}"))
            await asyncio.sleep(0.1)
    failed = [moment for moment in issuer.jwks_asked_at if moment > 0]
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
        assert 300 <= len(issuer.jwks_asked_at) <= 610
        issuer.down = False
        await asyncio.sleep(2.1)
        assert reason_of(verifier, issuer.issue()[0]) is None


@pytest.mark.parametrize("failures", [1, 2, 10, 10_000])
def test_a_backoff_is_bounded_and_spread(failures):
    pauses = {backoff(failures) for _ in range(100)}
    assert len(pauses) > 50
    assert all(0.5 <= pause <= 30 for pause in pauses)


@simulated
async def test_a_question_after_the_end_of_the_loop_is_only_answered_with_no():
    issuer = SimulatedIssuer()
    loop = asyncio.new_event_loop()
    async with issuer.make_verifier() as verifier:
        await asyncio.sleep(40)
        loop.close()
        verifier._jwks._loop = loop
        assert verifier._jwks.find(Kid("unknown")) is None
