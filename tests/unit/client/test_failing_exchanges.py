"""Exchanges that fail: each test runs with both kinds of token source."""

from __future__ import annotations

import logging

import pytest
from tests.unit.client.loopback import Reply, refusal

from tokensvc.client import (
    ExchangeRefusedError,
    IssuerUnavailableError,
    RateLimitedByIssuerError,
)


def test_a_refresh_that_fails_leaves_the_old_token_in_use_and_is_not_tried_at_every_call(
    new_source, issuer, clock, caplog
):
    source = new_source()
    source.get()
    clock.now += 590
    issuer.replies += [refusal(503, "temporarily_unavailable", Retry_After="100")] * 9
    with caplog.at_level(logging.WARNING, "tokensvc"):
        assert [source.get() for _ in range(5)] == ["token-1"] * 5
    assert issuer.asked == 2
    assert "no new token from" in caplog.text
    clock.now += 10
    with pytest.raises(IssuerUnavailableError) as raised:
        source.get()
    assert raised.value.retry_after == 90
    assert issuer.asked == 2
    issuer.replies.clear()
    clock.now += 90
    assert source.get() == "token-3"


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_issuer_is_asked_again_after_retry_after_and_some_jitter(
    status, new_source, issuer, clock
):
    issuer.replies += [refusal(status, "x", Retry_After="3"), refusal(status, "x", Retry_After="4")]
    assert new_source().get() == "token-3"
    assert clock.slept == [3.25, 4.5]


def test_an_issuer_that_stays_busy_is_asked_four_times(new_source, issuer, clock):
    issuer.replies += [refusal(503, "x", Retry_After="1")] * 9
    with pytest.raises(IssuerUnavailableError):
        new_source().get()
    assert issuer.asked == 4
    assert sum(clock.slept) < 30


def test_a_limit_that_outlasts_the_patience_is_an_error_at_once_until_it_ends(
    new_source, issuer, clock
):
    issuer.replies.append(
        refusal(429, "rate_limit_exceeded", "60 tokens a minute", Retry_After="45")
    )
    source = new_source(patience=30)
    for left in (45, 45, 40):
        clock.now = 1045 - left
        with pytest.raises(RateLimitedByIssuerError, match="60 tokens a minute") as raised:
            source.get()
        assert (raised.value.retry_after, raised.value.code) == (left, "rate_limit_exceeded")
    assert (issuer.asked, clock.slept) == (1, [])
    clock.now += 40
    assert source.get() == "token-2"


def test_an_issuer_that_cannot_be_reached_is_reported_with_the_kind_of_fault(new_source, issuer):
    issuer.stop()
    with pytest.raises(IssuerUnavailableError, match=r"cannot be reached: [A-Z][A-Za-z]+Error"):
        new_source().get()


def test_an_issuer_that_does_not_answer_is_given_up_on(new_source, issuer):
    issuer.gate.clear()
    source = new_source(timeout=0.02, patience=0.02)
    with pytest.raises(IssuerUnavailableError):
        source.get()


@pytest.mark.parametrize(
    "body",
    [b"x" * 70_000, b"<html>", b'{"access_token": "a b", "token_type": "Bearer", "expires_in": 5}'],
)
def test_a_response_without_a_token_means_that_the_issuer_is_unavailable(body, new_source, issuer):
    issuer.replies += [Reply(200, body)] * 4
    with pytest.raises(IssuerUnavailableError):
        new_source().get()


def test_a_redirect_is_not_followed_so_the_key_stays_with_the_issuer(new_source, issuer, party):
    issuer.replies += [Reply(307, b"", {"Location": f"{party.url}/v1/token"})]
    with pytest.raises(ExchangeRefusedError, match="answered 307"):
        new_source().get()
    assert party.received == []


def test_a_refusal_has_its_code_and_the_issuer_is_not_asked_for_five_seconds(
    new_source, issuer, clock
):
    issuer.replies.append(
        refusal(400, "invalid_scope", "scope asks for more than this key or token has: x")
    )
    source = new_source(scope="admin")
    for _ in range(2):
        with pytest.raises(ExchangeRefusedError, match="asks for more than") as raised:
            source.get()
        assert (raised.value.error, raised.value.reason) == ("invalid_scope", "invalid_scope")
    assert issuer.asked == 1
    clock.now += 5
    assert source.get() == "token-2"
