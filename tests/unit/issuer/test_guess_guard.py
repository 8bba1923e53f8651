"""The guess guard: what a suspected network shows takes detours, and nobody is refused for it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.factories import Clock

from tokensvc.core.errors import InvalidClientError, UnavailableError
from tokensvc.core.exchange import Verdict
from tokensvc.core.ledger import Decision, Question
from tokensvc.core.limit import Quota
from tokensvc.issuer.exchange.guess_guard import GuessGuard

ALLOWED = 3
KNOWN, NEW, DISABLED, GUESS = (bytes([number]) * 32 for number in range(4))
STATES: dict[bytes, Any] = {KNOWN: None, NEW: None, DISABLED: "disabled"}


class FakeLedger:
    """Knows three keys, and notes who asks."""

    def __init__(self):
        self.asked = []

    async def join_batch(self, question, act, _arrived_on):
        self.asked.append(question.digest)
        if question.digest not in STATES:
            return act(None)
        at, quota = datetime(2030, 1, 1, tzinfo=UTC), Quota(60, 9, 60, 9, 60, 9, 60, 9)
        facts: Any = ("key_1", "acc_1", (), STATES[question.digest], None, at, quota)
        return act(Decision(Verdict(*facts), True))


class FakeLane:
    """Notes who waits in it."""

    def __init__(self):
        self.waited = []
        self.is_full = False

    async def exists(self, digest, _arrived_on=None):
        if self.is_full:
            raise UnavailableError("full", reason="slow_lane_full")
        self.waited.append(digest)
        return digest in STATES


class FakeLateAnswers:
    """Notes since when answers are held."""

    def __init__(self):
        self.held = []

    async def hold(self, asked_on):
        self.held.append(asked_on)


class Around:
    """A guard and what stands around it."""

    def __init__(self, **options):
        self.clock = Clock()
        self.ledger = FakeLedger()
        self.lane = FakeLane()
        self.late_answers = FakeLateAnswers()
        self.late: list[str | None] = []  # the refusals that must not be told at once
        around: Any = (self.ledger, self.lane, self.late_answers)
        self.guard = GuessGuard(
            *around,
            allowed=ALLOWED,
            clock=self.clock,
            **options,
        )

    async def show(self, digest, network="net"):
        """Show a key; return why it is refused, None if it is good."""
        question = Question(digest, None, None, True)

        def act(decision):
            self.guard.note(question, network, decision)
            reason = "unknown_key" if decision is None else decision.verdict.refusal
            if reason is not None:
                raise InvalidClientError(reason)

        try:
            await self.guard.let_through(question, network, act, 0.0)
        except InvalidClientError as error:
            self.late += [error.reason] * error.is_late
            return error.reason
        return None

    async def guess(self, times, network="net"):
        for _ in range(times):
            assert await self.show(GUESS, network) == "unknown_key"


def hold_up(ledger):
    """Let a ledger answer only when the event that is returned is set."""
    gate, join_batch = asyncio.Event(), ledger.join_batch

    async def join_later(question, act, arrived_on):
        await gate.wait()
        return await join_batch(question, act, arrived_on)

    ledger.join_batch = join_later
    return gate


@pytest.fixture
def around():
    return Around()


async def test_a_quiet_network_takes_no_detour(around):
    await around.guess(ALLOWED)
    assert await around.show(NEW, "other") is None
    assert (around.lane.waited, around.late) == ([], [])


async def test_t38_guesses_of_a_suspected_network_never_reach_the_ledger(around):
    await around.guess(ALLOWED)
    around.ledger.asked.clear()
    await around.guess(5)
    assert around.ledger.asked == []
    assert around.lane.waited == [GUESS] * 5


async def test_t38_a_key_that_is_new_here_goes_on_from_the_slow_lane_and_is_known_then(around):
    await around.guess(ALLOWED)
    assert await around.show(NEW) is None
    assert (around.lane.waited, around.late) == ([NEW], [])
    assert await around.show(NEW) is None
    assert around.lane.waited == [NEW]


async def test_t38_a_known_key_takes_no_detour_whatever_others_do(around):
    assert await around.show(KNOWN) is None
    await around.guess(ALLOWED)
    assert await around.show(KNOWN) is None
    assert (around.lane.waited, around.late) == ([], [])


async def test_t20_every_refusal_of_a_suspected_network_comes_late(around):
    await around.guess(ALLOWED)
    assert await around.show(DISABLED) == "disabled"
    assert await around.show(GUESS) == "unknown_key"
    assert around.late == ["disabled", "unknown_key"]


async def test_t20_refused_keys_count_as_guesses_do_and_are_not_known(around):
    for _ in range(ALLOWED):
        assert not around.guard.suspects("net")
        assert await around.show(DISABLED) == "disabled"
    assert around.guard.suspects("net")
    assert not around.guard.knows(DISABLED)


async def test_a_key_that_ends_is_known_no_more(around, monkeypatch):
    await around.show(KNOWN)
    monkeypatch.setitem(STATES, KNOWN, "revoked")
    await around.show(KNOWN)
    assert not around.guard.knows(KNOWN)


async def test_suspicion_ends_a_minute_after_the_guesses(around):
    await around.guess(ALLOWED)
    around.clock.now = 239.0
    assert around.guard.suspects("net")
    around.clock.now = 240.0
    assert not around.guard.suspects("net")


async def test_guesses_from_many_networks_make_all_of_them_suspected(around):
    for number in range(10 * ALLOWED):
        assert not around.guard.suspects("quiet")
        await around.guess(1, f"net {number}")
    assert around.guard.suspects("quiet")


async def test_t38_a_crowd_of_new_keys_is_not_let_to_the_ledger_at_once(around):
    """The first guesses of a flood arrive before any has been refused."""
    gate = hold_up(around.ledger)
    guesses = [bytes([100 + number]) * 32 for number in range(5 * ALLOWED)]
    crowd = [asyncio.create_task(around.show(guess)) for guess in guesses]
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(around.lane.waited) == 4 * ALLOWED
    gate.set()
    assert set(await asyncio.gather(*crowd)) == {"unknown_key"}
    assert around.ledger.asked == guesses[:ALLOWED]


async def test_a_crowd_that_shows_one_new_key_takes_no_detour(around):
    gate = hold_up(around.ledger)
    crowd = [asyncio.create_task(around.show(NEW)) for _ in range(5 * ALLOWED)]
    await asyncio.sleep(0)
    gate.set()
    assert set(await asyncio.gather(*crowd)) == {None}
    assert around.lane.waited == []


async def test_a_subject_token_waits_in_no_lane_but_its_refusal_comes_late(around):
    await around.guess(ALLOWED)
    assert await around.show(None) == "unknown_key"
    assert (around.lane.waited, around.late) == ([], ["unknown_key"])


async def test_an_act_on_a_key_that_does_not_exist_is_left_out(around):
    async def act():
        return "done"

    async def ask(digest):
        return await around.guard.ask(digest, "net", act, otherwise="nothing")

    assert await ask(GUESS) == "done"
    await around.guess(ALLOWED)
    assert [await ask(GUESS), await ask(DISABLED)] == ["nothing", "done"]
    assert len(around.late_answers.held) == 2


async def test_t39_other_answers_to_a_suspected_network_can_be_held_too(around):
    await around.guard.hold("net")
    await around.guess(ALLOWED)
    await around.guard.hold("net")
    await around.guard.hold("other")
    assert around.late_answers.held == [120.0]


async def test_memory_is_bounded_and_the_oldest_is_forgotten():
    around = Around(most_known=2, most_networks=2)
    guard, digests = around.guard, [bytes([number]) * 32 for number in range(10)]
    for digest in digests:
        guard.note_known(digest)
    assert [guard.knows(digest) for digest in digests] == [False] * 6 + [True] * 4
    guard.note_known(digests[9])
    assert guard.knows(digests[6]), "a key that is known already takes no place"

    for network in ("first", "second", "first", "third"):
        for _ in range(ALLOWED):
            guard.note_refused(network)
    assert [guard.suspects(network) for network in ("first", "second", "third")] == [
        True,
        False,
        True,
    ]


async def test_who_finds_the_lane_full_is_told_to_come_again(around):
    await around.guess(ALLOWED)
    around.lane.is_full = True
    with pytest.raises(UnavailableError):
        await asyncio.wait_for(around.show(NEW), 1)
