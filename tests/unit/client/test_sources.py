"""Both kinds of token source against a real issuer on loopback: each test runs with asyncio and with threads."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from tests.unit.client.loopback import KEY, OTHER_KEY, Reply, grant, refusal

from tokensvc.client import (
    ExchangeRefusedError,
    IssuerUnavailableError,
    KeyFromEnvironment,
    KeyRejectedError,
    KeyUnreadableError,
    RateLimitedByIssuerError,
    SourceClosedError,
)

INVALID_CLIENT = refusal(401, "invalid_client")


def test_a_token_is_kept_until_80_percent_of_its_life(new_source, issuer, clock):
    source = new_source()
    assert source.get() == "token-1"
    clock.now += 479
    assert source.get() == "token-1"
    assert issuer.asked == 1
    clock.now += 1
    source.get()
    source.wait_until_idle()
    assert source.get() == "token-2"
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
    with pytest.raises(ValueError, match="not empty"):
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


def test_in_the_advisory_window_one_refreshes_and_all_go_on_with_the_old_token(
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
    source.wait_until_idle()
    assert source.get_many(20) == ["token-2"] * 20
    assert issuer.asked == 2


def test_in_the_mandatory_window_all_wait_for_the_new_token(new_source, issuer, clock):
    source = new_source()
    source.get()
    clock.now += 586
    assert source.get_many(20) == ["token-2"] * 20
    assert issuer.asked == 2


def test_who_waits_in_the_mandatory_window_waits_no_longer_than_half_of_what_is_left(
    new_source, issuer, clock
):
    source = new_source()
    source.get()
    clock.now += 599.9
    issuer.gate.clear()
    assert source.get() == "token-1"


def test_life_counts_from_the_sending(new_source, issuer, clock):
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


def test_a_key_that_is_rejected_leaves_the_old_token_in_use(new_source, issuer, clock):
    source = new_source()
    source.get()
    issuer.rejected.add(KEY)
    clock.now += 586
    assert [source.get() for _ in range(5)] == ["token-1"] * 5
    assert issuer.asked == 2
    clock.now += 15
    with pytest.raises(KeyRejectedError):
        source.get()


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_issuer_is_asked_again_after_what_it_says_and_some_jitter(
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


def test_a_limit_that_lasts_longer_than_our_patience_is_told_at_once_and_kept(
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


def test_an_issuer_that_is_away_is_told_by_kind(new_source, issuer):
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
def test_an_answer_that_is_no_token_counts_as_away(body, new_source, issuer):
    issuer.replies += [Reply(200, body)] * 4
    with pytest.raises(IssuerUnavailableError):
        new_source().get()


def test_a_redirect_is_not_followed_so_the_key_stays_with_the_issuer(new_source, issuer, party):
    issuer.replies += [Reply(307, b"", {"Location": f"{party.url}/v1/token"})]
    with pytest.raises(ExchangeRefusedError, match="answered 307"):
        new_source().get()
    assert party.received == []


def test_a_refusal_is_told_with_its_code_and_taken_at_its_word_for_a_moment(
    new_source, issuer, clock
):
    issuer.replies.append(
        refusal(400, "invalid_scope", "scope asks for a capability that this key does not have")
    )
    source = new_source(scope="admin")
    for _ in range(2):
        with pytest.raises(ExchangeRefusedError, match="does not have") as raised:
            source.get()
        assert (raised.value.error, raised.value.reason) == ("invalid_scope", "invalid_scope")
    assert issuer.asked == 1
    clock.now += 5
    assert source.get() == "token-2"


def test_a_key_that_was_rotated_on_disk_is_picked_up_without_an_error(new_source, issuer, tmp_path):
    path = tmp_path / "key"
    path.write_text(KEY)
    source = new_source(api_key=path)

    def rotate(_request):
        path.write_text(f"{OTHER_KEY}\n")
        return INVALID_CLIENT

    issuer.replies.append(rotate)
    assert source.get() == "token-2"
    assert [request.bearer for request in issuer.received] == [KEY, OTHER_KEY]
    assert "hint tsk-..." in repr(source.source)


def test_a_rejected_key_is_not_sent_again_for_a_moment_but_another_one_is(
    new_source, issuer, clock, tmp_path
):
    path = tmp_path / "key"
    path.write_text(KEY)
    issuer.rejected.add(KEY)
    source = new_source(api_key=path)
    for _ in range(3):
        with pytest.raises(KeyRejectedError, match=f"not accepted: tsk-...{KEY[-4:]}"):
            source.get()
    assert issuer.asked == 1
    path.write_text(OTHER_KEY)
    assert source.get() == "token-2"
    path.write_text(KEY)
    issuer.rejected.clear()
    clock.now += 601
    assert source.get() == "token-3"


def test_the_key_comes_from_a_value_a_file_a_function_or_the_environment(
    new_source, issuer, monkeypatch, tmp_path
):
    (tmp_path / "key").write_text(f"\n{KEY}\n")
    monkeypatch.setenv("TOKENSVC_API_KEY", KEY)
    monkeypatch.setenv("ORDERS_KEY", KEY)
    for place in (KEY, tmp_path / "key", lambda: KEY, None, KeyFromEnvironment("ORDERS_KEY")):
        new_source(api_key=place).get()
    assert [request.bearer for request in issuer.received] == [KEY] * 5


def fail():
    raise RuntimeError(f"secret {KEY}")


@pytest.mark.parametrize(
    "place", [fail, lambda: "", lambda: None, lambda: KEY[:-1] + "x", KeyFromEnvironment("NO_SUCH")]
)
def test_a_key_that_cannot_be_read_is_told_without_what_was_read(place, new_source, issuer):
    source = new_source(api_key=place)
    with pytest.raises(KeyUnreadableError) as raised:
        source.get()
    assert KEY[4:] not in str(raised.value)
    assert issuer.asked == 0


def test_a_key_file_that_is_missing_is_told_and_looked_for_again(new_source, tmp_path):
    source = new_source(api_key=tmp_path / "key")
    with pytest.raises(KeyUnreadableError, match=r"the file .*key: FileNotFoundError"):
        source.get()
    (tmp_path / "key").write_text(KEY)
    assert source.get() == "token-1"


def test_a_token_is_dropped_once_and_only_if_it_is_still_the_one_held(new_source, issuer, clock):
    source = new_source()
    first = source.get()
    assert source.drop(first)
    second = source.get()
    assert source.drop(first)
    assert source.get() == second
    assert issuer.asked == 2
    assert not source.drop(second)
    assert source.get() == second
    clock.now += 5
    assert source.drop(second)
    assert source.get() == "token-3"


def test_nothing_secret_is_shown(new_source, issuer):
    source = new_source()
    token = source.get()
    shown = repr(source.source) + repr(vars(source.source)) + repr(vars(source.source._state))
    assert f"tsk-...{KEY[-4:]}" in shown
    assert KEY not in shown
    assert KEY[4:20] not in shown
    assert f"{token}'" not in shown
    assert issuer.url in shown


def test_a_closed_source_gives_no_token(new_source, issuer):
    source = new_source()
    source.get()
    source.close()
    with pytest.raises(SourceClosedError):
        source.get()
    assert issuer.asked == 1


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"issuer": "http://auth.example.com"}, "must be https"),
        ({"api_key": "/run/secrets/key"}, "given as a Path"),
        ({"scope": ""}, "not empty"),
        ({"timeout": 40}, "at most patience"),
        ({"expires_in": 0}, "at least 1 s"),
    ],
)
def test_wrong_options_are_refused_at_the_start(wrong, told, new_source):
    with pytest.raises((ValueError, KeyUnreadableError), match=told):
        new_source(**wrong)


def test_the_tokens_held_are_bounded(new_source):
    source = new_source()
    for number in range(1100):
        source.source._state.keep(
            source.source._state.parse_wanted(f"a{number}", None),
            source.source._state.build_key_failure(_unreadable()),
        )
    assert len(source.source._state._slots) == 1000


def _unreadable():
    return KeyUnreadableError("x")


@pytest.mark.parametrize("kind", ["TokenSource", "ThreadedTokenSource"])
def test_tokens_are_good_in_a_forked_child_and_new_ones_are_got_there(kind, issuer):
    program = _FORKING.format(kind=kind, issuer=issuer.url, key=KEY)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout.split(), done.returncode) == (["token-1", "token-2", "0"], 0), done.stderr


_FORKING = """
import asyncio, inspect, os, threading
from tokensvc.client import {kind}

source = {kind}(issuer="{issuer}", api_key="{key}")

def get(**wanted):
    token = source.get_token(**wanted)
    return asyncio.run(token) if inspect.isawaitable(token) else token

print(get(), flush=True)
held = threading.Event()
def hold():
    with source._state.lock:
        held.set()
        threading.Event().wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    assert get() == "token-1"
    print(get(audience="other"), flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1], flush=True)
os._exit(0)
"""
