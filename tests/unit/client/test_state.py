"""The tokens that a source holds."""

from __future__ import annotations

import pytest

from tokensvc.client import SourceClosedError
from tokensvc.client._failure import Failure
from tokensvc.client._options import ExchangeOptions
from tokensvc.client._plan import HeldToken, build_held_token
from tokensvc.client._state import State
from tokensvc.client._wanted import Wanted

FAILURE = Failure(kind="refused", message="x", until=2000.0)
A, B, C = (Wanted(name, None) for name in ("a", "b", "c"))


@pytest.fixture
def new_state(clock):
    options = ExchangeOptions(
        issuer="https://auth.example.com",
        audience="a",
        scope=None,
        expires_in=None,
        timeout=10.0,
        patience=30.0,
        tls=None,
        allow_http=False,
        clock=clock,
        chance=lambda: 0.5,
    )
    return lambda **more: State(options, **more)


def new_token(clock, text="secret-token") -> HeldToken:
    return build_held_token(text, expires_in=600, sent_on=clock.now, chance=0.5)


def test_the_slot_whose_last_exchange_is_the_oldest_is_forgotten(new_state, clock):
    state = new_state(most_slots=2)
    for wanted in (A, B, A, C):
        state.keep(wanted, new_token(clock))
    assert state.count() == 2
    assert [state.plan(wanted).token is not None for wanted in (A, B, C)] == [True, False, True]


def test_dropping_a_token_that_is_not_held_takes_no_room(new_state):
    state = new_state()
    assert state.drop(A, "unknown")
    assert state.count() == 0


@pytest.mark.parametrize("is_token", [True, False], ids=["token", "failure"])
def test_what_arrives_after_closing_is_not_kept(is_token, new_state, clock):
    state = new_state()
    state.close()
    state.keep(A, new_token(clock) if is_token else FAILURE)
    assert state.count() == 0
    with pytest.raises(SourceClosedError):
        state.plan(A)


def test_the_own_audience_of_the_source_fills_the_gap(new_state):
    state = new_state()
    assert state.parse_wanted(None, "y x x") == Wanted("a", "x y")
    assert state.parse_wanted("b", None) == B


def test_repr_does_not_show_the_tokens(new_state, clock):
    state = new_state()
    state.keep(A, new_token(clock))
    assert "secret-token" not in repr(vars(state))
