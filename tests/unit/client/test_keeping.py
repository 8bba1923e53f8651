"""Keeping, refreshing and dropping tokens: each test runs with both kinds of token source."""

from __future__ import annotations

import pytest
from tests.unit.client.loopback import KEY, grant, refusal

from tokensvc.client import ExchangeRefusedError, SourceClosedError


def test_a_token_is_kept_until_80_percent_of_its_life(new_source, issuer, clock):
    source = new_source()
    assert source.get() == "token-1"
    clock.now += 479
    assert source.get() == "token-1"
    assert issuer.asked == 1
    clock.now += 1
    source.get_until("token-2")
    assert issuer.asked == 2


def test_the_key_goes_in_a_header_and_what_is_wanted_in_the_form(new_source, issuer):
    source = new_source(issuer=issuer.url + "/", audience="orders-api", scope="b a", expires_in=60)
    source.get()
    source.get(audience="other", scope="c c")
    first, second = issuer.received
    assert (first.method, first.path, first.bearer) == ("POST", "/v1/token", KEY)
    assert first.form == {"audience": "orders-api", "scope": "a b", "expires_in": "60"}
    assert second.form == {"audience": "other", "scope": "c", "expires_in": "60"}


def test_tokens_are_kept_by_audience_and_scope(new_source, issuer):
    source = new_source()
    assert source.get(scope="a b") == source.get(scope="b  a") == "token-1"
    assert source.get(scope="a") == "token-2"
    assert source.get(audience="x") == "token-3"
    assert source.get() == "token-4"
    assert source.get(scope="a b") == "token-1"
    assert issuer.asked == 4
    with pytest.raises(ValueError, match="not be empty"):
        source.get(scope=" ")


@pytest.mark.parametrize("first", [True, False], ids=["no token yet", "expired token"])
def test_200_callers_who_need_a_token_cause_one_exchange(first, new_source, issuer, clock):
    source = new_source()
    if not first:
        source.get()
        clock.now += 601
    before = issuer.asked
    assert source.get_many(200) == [f"token-{before + 1}"] * 200
    assert issuer.asked == before + 1


def test_when_a_refresh_is_due_one_caller_starts_it_and_all_use_the_old_token(
    new_source, issuer, clock
):
    source = new_source()
    source.get()
    clock.now += 500
    issuer.gate.clear()
    assert source.get_many(20) == ["token-1"] * 20
    assert issuer.arrived.acquire(timeout=10)
    assert issuer.arrived.acquire(timeout=10)
    assert source.get() == "token-1"
    issuer.gate.set()
    source.get_until("token-2")
    assert source.get_many(20) == ["token-2"] * 20
    assert issuer.asked == 2


def test_shortly_before_the_end_all_callers_wait_for_the_new_token(new_source, issuer, clock):
    source = new_source()
    source.get()
    clock.now += 586
    assert source.get_many(20) == ["token-2"] * 20
    assert issuer.asked == 2


def test_a_caller_with_a_good_token_waits_for_half_of_its_remaining_life_at_most(
    new_source, issuer, clock
):
    source = new_source()
    source.get()
    clock.now += 599.9
    issuer.gate.clear()
    assert source.get() == "token-1"


def test_the_life_of_a_token_is_counted_from_the_sending_of_the_request(new_source, issuer, clock):
    def answer_late(_request):
        clock.now += 9
        return grant("late", 600)

    issuer.replies.append(answer_late)
    source = new_source()
    assert source.get() == "late"
    clock.now += 590
    issuer.replies.append(refusal(400, "invalid_scope"))
    assert source.get() == "late"
    clock.now += 1
    with pytest.raises(ExchangeRefusedError):
        source.get()


def test_a_token_is_dropped_once_and_only_if_it_is_still_the_one_held(new_source, issuer, clock):
    source = new_source()
    first = source.get()
    assert source.source.drop_token(first)
    second = source.get()
    assert source.source.drop_token(first)
    assert source.get() == second
    assert issuer.asked == 2
    assert not source.source.drop_token(second)
    assert source.get() == second
    clock.now += 5
    assert source.source.drop_token(second)
    assert source.get() == "token-3"


def test_repr_shows_nothing_secret(new_source, issuer):
    source = new_source()
    token = source.get()
    shown = repr(source.source) + repr(vars(source.source))
    assert f"tsk-...{KEY[-4:]}" in shown
    assert KEY not in shown
    assert KEY[4:20] not in shown
    assert f"{token}'" not in shown
    assert issuer.url in shown
    assert f"<{type(source.source).__name__} issuer=" in shown
    assert "tokens held: 1" in shown


def test_a_closed_source_gives_no_token(new_source, issuer):
    source = new_source()
    source.get()
    source.close()
    with pytest.raises(SourceClosedError):
        source.get()
    assert issuer.asked == 1
