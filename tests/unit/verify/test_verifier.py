"""How a verifier lives: started, followed, rotated, cut off and healed, in simulated time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from tests.factories import ACCOUNT_ID, ISSUER, KEY_ID, make_signing_key
from tests.simulator import SimulatedIssuer, reason_of, simulated

from tokensvc.core.errors import InvalidPageError
from tokensvc.core.identifier import Jti, Kid
from tokensvc.verify import InvalidTokenError, Verifier, VerifierUnavailableError
from tokensvc.verify.fetch import JwksAnswer


@simulated
async def test_a_started_verifier_is_ready_and_verifies():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        token, claims = issuer.issue()
        assert verifier.verify(token) == verifier.verify(token) == claims
        status = verifier.status()
        assert (status.ready, status.kids, status.jwks_age, status.jwks_error) == (
            True,
            (issuer.signer.kid,),
            0.0,
            None,
        )
        assert issuer.is_open
    assert not issuer.is_open


@simulated
async def test_a_verifier_that_was_never_started_can_be_closed_and_verifies_nothing():
    issuer = SimulatedIssuer()
    verifier = issuer.make_verifier()
    token, _ = issuer.issue()
    assert reason_of(verifier, token) == "no_keys"
    assert verifier.status().jwks_age == float("inf")
    await verifier.close()


@simulated
async def test_keys_without_a_denylist_are_not_enough():
    issuer = SimulatedIssuer()
    verifier = issuer.make_verifier()
    await verifier._jwks.fetch_once()
    assert reason_of(verifier, issuer.issue()[0]) == "no_denylist"
    assert not verifier.status().ready


@simulated
async def test_a_start_without_the_issuer_returns_and_heals_by_itself():
    issuer = SimulatedIssuer()
    issuer.down = True
    loop = asyncio.get_running_loop()
    async with issuer.make_verifier() as verifier:
        assert loop.time() == pytest.approx(5)
        assert reason_of(verifier, issuer.issue()[0]) == "no_keys"
        assert verifier.status().jwks_error == "the issuer cannot be reached: simulated"
        issuer.down = False
        await asyncio.sleep(8)
        assert reason_of(verifier, issuer.issue()[0]) is None


@simulated
async def test_a_rotation_costs_no_refusal():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        before, _ = issuer.issue()
        old = issuer.signer
        standby, _, jwk = make_signing_key()
        issuer.published.append(jwk)
        await asyncio.sleep(300)
        issuer.keys.append(standby)
        after, _ = issuer.issue()
        assert (reason_of(verifier, before), reason_of(verifier, after)) == (None, None)
        issuer.withdraw(old.kid)
        await asyncio.sleep(270)  # the token would live another half minute
        assert reason_of(verifier, before) == "unknown_kid"
        assert reason_of(verifier, after) is None


# --- revocation ------------------------------------------------------------------------------------------------------------

DENIALS: dict[str, Any] = {
    "jti": lambda issuer, claims: issuer.deny("jti", claims.jti),
    "origin_jti": lambda issuer, _claims: issuer.deny("jti", "origin"),
    "key": lambda issuer, claims: issuer.deny("key", KEY_ID, upto=claims.iat),
    "account": lambda issuer, claims: issuer.deny("account", ACCOUNT_ID, upto=claims.iat),
    "kid": lambda issuer, _claims: issuer.deny("kid", issuer.signer.kid),
    "origin_kid": lambda issuer, _claims: issuer.deny("kid", "before"),
}


@pytest.mark.parametrize("seen", [True, False], ids=["remembered", "new"])
@pytest.mark.parametrize(("kind", "deny"), DENIALS.items(), ids=DENIALS)
@simulated
async def test_a_revocation_reaches_a_waiting_verifier_at_once(kind, deny, seen):
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        token, claims = issuer.issue(origin_jti=Jti("origin"), origin_kid=Kid("before"))
        other, _ = issuer.issue(iat=claims.iat + 1, origin_jti=Jti("another"))
        if seen:
            assert reason_of(verifier, token) is None
        issuer.rotate()
        issuer.keys.reverse()
        deny(issuer, claims)
        await asyncio.sleep(0.01)
        assert reason_of(verifier, token) == f"revoked_{kind.removeprefix('origin_')}"
        assert reason_of(verifier, other) == ("revoked_kid" if kind == "kid" else None)


@simulated
async def test_revocations_in_a_row_are_followed_by_deltas():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        for number in range(20):
            _, claims = issuer.issue()
            issuer.deny("jti", claims.jti)
            await asyncio.sleep(0.01)
            assert verifier.status().denylist_entries == number + 1
        assert issuer.pages_asked.count(None) == 1


@pytest.mark.parametrize("leeway", [0.0, 30.0, 60.0, 150.0])
@simulated
async def test_a_revoked_token_never_comes_back_whatever_leeway_is_allowed(leeway):
    issuer = SimulatedIssuer()
    try:
        verifier = issuer.make_verifier(leeway=leeway)
    except ValueError:
        return  # a leeway that outlives the entries may well be refused
    async with verifier:
        token, claims = issuer.issue()
        issuer.deny("jti", claims.jti, life=600 + 120)
        for _ in range(1000):
            await asyncio.sleep(1)
            assert reason_of(verifier, token) is not None


@simulated
async def test_a_clock_that_is_off_by_less_than_the_leeway_refuses_nothing():
    issuer = SimulatedIssuer()
    for skew in (-29.0, -5.0, 5.0, 29.0):
        async with issuer.make_verifier(skew=skew) as verifier:
            for _ in range(20):
                await asyncio.sleep(7)
                assert reason_of(verifier, issuer.issue()[0]) is None


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


# --- staleness -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("when_stale", "after"), [("reject", "denylist_stale"), ("accept", None)])
@simulated
async def test_a_verifier_that_is_cut_off_switches_at_max_staleness(when_stale, after):
    issuer = SimulatedIssuer()
    async with issuer.make_verifier(when_stale=when_stale) as verifier:
        await asyncio.sleep(100)
        issuer.go_down()
        age = verifier.status().denylist_age
        await asyncio.sleep(59.9 - age)
        token, _ = issuer.issue()
        assert reason_of(verifier, token) is None
        assert verifier.status().denylist_age == pytest.approx(59.9)
        await asyncio.sleep(0.2)
        assert reason_of(verifier, token) == after
        assert verifier.status().ready is (after is None)
        assert verifier.status().denylist_error == "the issuer cannot be reached: simulated"
        await asyncio.sleep(60)
        issuer.down = False
        await asyncio.sleep(61)
        assert reason_of(verifier, token) is None


@simulated
async def test_a_healed_feed_that_has_no_news_is_believed_at_its_first_answer():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        issuer.go_down()
        await asyncio.sleep(100)
        issuer.down = False
        asked = len(issuer.pages_asked)
        while len(issuer.pages_asked) == asked:
            await asyncio.sleep(0.1)
        await asyncio.sleep(2)
        assert verifier.status().ready


@simulated
async def test_a_stale_verifier_that_accepts_still_refuses_what_it_knows():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier(when_stale="accept") as verifier:
        token, claims = issuer.issue()
        issuer.deny("jti", claims.jti)
        await asyncio.sleep(1)
        issuer.go_down()
        await asyncio.sleep(500)
        assert reason_of(verifier, token) == "revoked_jti"


@simulated
async def test_an_issuer_that_is_away_is_asked_every_one_to_two_seconds_so_that_recovery_is_quick():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier():
        await asyncio.sleep(1)
        issuer.go_down()
        await asyncio.sleep(0)
        asked = len(issuer.pages_asked)
        await asyncio.sleep(600)
        assert 600 / 2 <= len(issuer.pages_asked) - asked <= 600 + 3


@simulated
async def test_a_quiet_feed_is_no_stale_feed():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        for _ in range(300):
            await asyncio.sleep(1)
            assert verifier.status().denylist_age <= 30.1
        assert len(issuer.pages_asked) <= 13


@simulated
async def test_an_issuer_that_does_not_wait_is_not_asked_in_a_tight_loop():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier():
        issuer._wait_is_kept = False
        issuer.wake()
        for _ in range(1000):
            await asyncio.sleep(0)
    assert len(issuer.pages_asked) < 20


# --- what comes by another road -------------------------------------------------------------------------------------------


@simulated
async def test_keys_and_pages_may_come_by_another_road_and_are_judged_all_the_same():
    issuer = SimulatedIssuer()
    verifier = issuer.make_verifier()
    with pytest.raises(InvalidTokenError):
        verifier.take(page=issuer.page())  # no key for it yet
    with pytest.raises(ValueError, match="no usable key"):
        verifier.take(jwks=JwksAnswer(b'{"keys":[]}', None, 300.0))
    assert verifier._jwks.snapshot() is None
    verifier.take(jwks=issuer.answer_jwks(), page=issuer.page())
    token, _ = issuer.issue()
    assert reason_of(verifier, token) is None
    issuer.revoke(token=token)
    verifier.take(page=issuer.page(verifier.status().denylist_cursor))
    assert reason_of(verifier, token) == "revoked_jti"
    with pytest.raises(InvalidPageError):
        verifier.take(page=issuer.sign_page(replace(issuer.build_page(None), full=False)))


# --- the hook for metrics, and faults of our own ---------------------------------------------------------------------------


@simulated
async def test_every_verification_is_told_to_the_hook():
    issuer = SimulatedIssuer()
    outcomes: list[str] = []
    verifier = issuer.make_verifier(on_verify=outcomes.append)
    token, _ = issuer.issue()
    with pytest.raises(VerifierUnavailableError):
        verifier.verify(token)
    async with verifier:
        verifier.verify(token)
        verifier.verify(token)
        for bad in (issuer.tampered(), "junk"):
            with pytest.raises(InvalidTokenError):
                verifier.verify(bad)
        issuer.revoke(token=token)
        await asyncio.sleep(1)
        with pytest.raises(InvalidTokenError):
            verifier.verify(token)
    assert outcomes == ["no_keys", "ok", "ok", "bad_signature", "malformed_token", "revoked_jti"]


def break_down(_after: str | None) -> str:
    raise AssertionError("a fault of our own")


@simulated
async def test_a_verifier_that_follows_no_more_says_so_and_refuses_once_it_is_stale(caplog):
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        issuer.page_lie = break_down
        issuer.wake()
        await asyncio.sleep(1)
        assert "follows no more" in caplog.text
        token, _ = issuer.issue()
        assert reason_of(verifier, token) is None
        await asyncio.sleep(60)
        assert reason_of(verifier, token) == "denylist_stale"


@simulated
async def test_a_verifier_is_started_once():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        with pytest.raises(RuntimeError, match="started already"):
            await verifier.start()


def test_a_verifier_may_be_started_again_in_another_loop(caplog):
    verifier: list[Verifier] = []

    @simulated
    async def live(*, down: bool) -> None:
        issuer = SimulatedIssuer()
        issuer.down = down
        verifier[:] = verifier or [issuer.make_verifier()]
        async with verifier[0]:
            await asyncio.sleep(100)

    live(down=True)
    live(down=True)
    assert "follows no more" not in caplog.text


@simulated
async def test_a_start_that_is_given_up_leaves_nothing_behind():
    issuer = SimulatedIssuer()
    issuer.down = True
    verifier = issuer.make_verifier()
    starting = asyncio.create_task(verifier.start())
    await asyncio.sleep(1)
    was_open = issuer.is_open
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert (was_open, issuer.is_open) == (True, False)
    assert len(asyncio.all_tasks()) == 1


# --- memory and set-up -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [0, 1, 10])
@simulated
async def test_the_memory_of_tokens_is_bounded_and_keeps_the_latest(most):
    issuer = SimulatedIssuer()
    async with issuer.make_verifier(remember=most) as verifier:
        favourite, _ = issuer.issue()
        for _ in range(50):
            assert reason_of(verifier, favourite) is None
            assert reason_of(verifier, issuer.issue()[0]) is None
            assert len(verifier._memory) <= most
        assert (favourite in verifier._memory) is (most > 1)


@simulated
async def test_a_refused_token_is_not_remembered():
    issuer = SimulatedIssuer()
    async with issuer.make_verifier() as verifier:
        assert reason_of(verifier, issuer.issue(aud="billing")[0]) == "wrong_audience"
        assert len(verifier._memory) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"issuer": ""},
        {"audience": ""},
        {"algorithms": ()},
        {"algorithms": ("none",)},
        {"algorithms": ("ES256", "HS256")},
        {"algorithms": "ES256"},
        {"when_stale": "ignore"},
        {"max_staleness": 35},
        {"feed_wait": 60},
        {"issuer": "http://auth.example.com"},
        {"issuer": "auth.example.com"},
        {"jwks_url": "http://auth.example.com/jwks.json"},
        {"denylist_url": "ftp://127.0.0.1/denylist"},
    ],
    ids=lambda options: "{}={}".format(*next(iter(options.items()))),
)
def test_a_contradictory_setup_is_refused(options):
    with pytest.raises(ValueError):  # noqa: PT011 - each says its own
        Verifier(**{"issuer": ISSUER, "audience": "api"} | options)


def test_a_verifier_can_be_made_outside_a_loop_with_the_clock_of_the_system():
    verifier = Verifier(issuer="https://auth.example.com/", audience="api")
    assert verifier._jwks._url == "https://auth.example.com/.well-known/jwks.json"
    assert verifier._feed._url == "https://auth.example.com/v1/denylist"
    assert verifier._clock.wall is time.time
    assert not verifier.status().ready
