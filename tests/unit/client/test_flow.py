"""The steps of an exchange."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from tests.unit.client.loopback import KEY, OTHER_KEY

from tokensvc.client._failure import Failure
from tokensvc.client._flow import Ask, Patience, ReadKey, Reply, Wait, plan_pause, run_exchange
from tokensvc.client._plan import HeldToken
from tokensvc.client._response import ExchangeResponse, NoResponse
from tokensvc.core.api_key import ApiKey

moments = st.floats(-1e6, 1e6)
chances = st.floats(0, 1)


@given(st.integers(1, 10), moments, st.floats(0, 1e5), st.floats(0, 100), chances)
def test_a_pause_is_never_shorter_than_asked_for_nor_beyond_the_deadline(
    tries, now, asked_for, patience, chance
):
    failure = Failure(kind="unavailable", message="x", until=now + asked_for)
    pause = plan_pause(failure, tries=tries, now=now, deadline=now + patience, chance=chance)
    if pause is not None:
        assert tries < 4
        assert max(0.0, failure.until - now) <= pause <= failure.until - now + 2
        assert now + pause < now + patience


@st.composite
def responses(draw):
    status = draw(st.sampled_from([200, 400, 401, 429, 500, 503, None]))
    retry_after = draw(st.none() | st.integers(0, 40).map(str))
    return status, retry_after, draw(st.floats(0, 10))


@given(st.lists(responses(), min_size=40, max_size=40), st.booleans(), chances)
@example(
    [(429, None, 0.0), (429, None, 4.0), (429, None, 10.0), *[(401, None, 10.0)] * 37], True, 1
)
def test_every_exchange_ends_within_its_patience_and_few_tries(script, rotates, chance):
    """Performs the steps on a clock of its own, with responses of every kind."""
    now, asked, read, waited = 0.0, 0, 0, 0.0
    flow = run_exchange(
        patience=Patience(timeout=10, total=30),
        started_on=now,
        rejected=None,
        chance=lambda: chance,
    )
    reply: Reply = None
    while True:
        try:
            step = flow.send(reply)
        except StopIteration as stop:
            outcome = stop.value
            break
        match step:
            case ReadKey():
                read += 1
                reply = ApiKey(OTHER_KEY if rotates and read > 1 else KEY)
            case Ask(seconds=seconds):
                assert 0 < seconds <= 10
                status, retry_after, took = script[asked]
                asked += 1
                sent_on, now = now, now + min(took, seconds)
                if status is None:
                    reply = NoResponse(trouble="TimeoutError", came_on=now)
                else:
                    body = b'{"access_token": "t", "token_type": "Bearer", "expires_in": 600}'
                    reply = ExchangeResponse(
                        status=status,
                        retry_after=retry_after,
                        date=None,
                        body=body,
                        sent_on=sent_on,
                        came_on=now,
                    )
            case Wait(seconds=seconds):
                waited += seconds
                now += seconds
                reply = None
    assert isinstance(outcome, HeldToken | Failure)
    assert asked <= 5
    assert read <= 2
    assert now <= 30 + 1e-6
    assert waited < 30
