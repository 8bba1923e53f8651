"""What only ThreadedTokenSource has: its thread, and waiting that always ends."""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from testbed.waiting import wait_until
from tests.unit.client.loopback import KEY, refusal
from tests.unit.client.programs import run_program

from tokensvc.client import (
    IssuerUnavailableError,
    KeyUnreadableError,
    SourceClosedError,
    ThreadedTokenSource,
)

THREAD = "tokensvc-client"


def thread_names():
    return {thread.name for thread in threading.enumerate()}


def test_the_thread_starts_with_the_first_exchange_and_ends_when_the_source_is_closed(issuer):
    with ThreadedTokenSource(issuer=issuer.url, api_key=KEY) as source:
        assert THREAD not in thread_names()
        source.get_token()
        assert THREAD in thread_names()
    assert THREAD not in thread_names()
    source.close()


def test_the_thread_ends_with_a_source_that_nobody_closed(issuer):
    source = ThreadedTokenSource(issuer=issuer.url, api_key=KEY)
    source.get_token()
    del source
    gc.collect()
    wait_until(lambda: THREAD not in thread_names())


def test_an_interrupt_while_the_thread_starts_ends_it(issuer, monkeypatch):
    start = threading.Thread.start

    def start_and_be_interrupted(thread):
        start(thread)
        if thread.name == THREAD:
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        ThreadedTokenSource(issuer=issuer.url, api_key=KEY).get_token()
    wait_until(lambda: THREAD not in thread_names())


def test_a_key_function_that_hangs_is_given_up_on_and_does_not_delay_closing(issuer):
    stuck = threading.Event()

    def hang():
        stuck.wait()
        return KEY

    with ThreadedTokenSource(issuer=issuer.url, api_key=hang, timeout=0.02) as source:
        with pytest.raises(KeyUnreadableError, match=r"hang: TimeoutError"):
            source.get_token()
        began = time.monotonic()
    assert time.monotonic() - began < 4
    stuck.set()


def test_a_caller_gives_up_in_time_although_the_event_loop_hangs(issuer):
    stuck = threading.Event()

    async def block_the_event_loop():
        stuck.wait()
        return KEY

    source = ThreadedTokenSource(
        issuer=issuer.url, api_key=block_the_event_loop, timeout=0.25, patience=0.25
    )
    with source:
        with pytest.raises(IssuerUnavailableError, match="in time"):
            source.get_token()
        stuck.set()


def test_a_caller_with_a_good_token_does_not_wait_although_the_event_loop_hangs(issuer, clock):
    stuck, calls = threading.Event(), []

    async def read():
        calls.append(1)
        if len(calls) > 1:
            stuck.wait(10)
        return KEY

    with ThreadedTokenSource(issuer=issuer.url, api_key=read, clock=clock) as source:
        source.get_token()
        clock.now += 550
        assert [source.get_token() for _ in range(20)] == ["token-1"] * 20
        wait_until(lambda: len(calls) == 2)
        assert source.get_token() == "token-1"
        stuck.set()


def test_closing_ends_the_waiting_for_a_busy_issuer(issuer):
    issuer.replies += [refusal(503, "x", Retry_After="20")] * 9
    source = ThreadedTokenSource(issuer=issuer.url, api_key=KEY)
    with ThreadPoolExecutor(1) as pool:
        caller = pool.submit(source.get_token)
        issuer.arrived.acquire()
        source.close()
        with pytest.raises(SourceClosedError):
            caller.result(10)


def test_closing_ends_the_waiting_for_a_response(issuer):
    issuer.gate.clear()
    source = ThreadedTokenSource(issuer=issuer.url, api_key=KEY)
    with ThreadPoolExecutor(20) as pool:
        callers = [pool.submit(source.get_token) for _ in range(20)]
        issuer.arrived.acquire()
        source.close()
        assert {type(caller.exception(10)) for caller in callers} == {SourceClosedError}
    assert THREAD not in thread_names()


def test_many_threads_may_use_and_drop_tokens_at_once(issuer, clock):
    def use(number):
        token = source.get_token(scope=f"s{number % 5}")
        source.drop_token(token, scope=f"s{number % 5}")
        return source.get_token(scope=f"s{number % 5}")

    with (
        ThreadedTokenSource(issuer=issuer.url, api_key=KEY, clock=clock) as source,
        ThreadPoolExecutor(16) as pool,
    ):
        tokens = list(pool.map(use, range(200)))
    assert all(token.startswith("token-") for token in tokens)
    assert issuer.asked == 10  # per scope one, and one more after a drop


BEGIN = """
import os, signal, sys, threading, time
from tokensvc.client import KeyUnreadableError, ThreadedTokenSource

issuer, key = sys.argv[1:]
"""

EXITING = """
source = ThreadedTokenSource(issuer=issuer, api_key=key)
threading.Thread(target=source.get_token, daemon=True).start()
while "tokensvc-client" not in {thread.name for thread in threading.enumerate()}:
    time.sleep(0.001)
print("exits")
"""

HANGING = """
import logging
logging.disable()
source = ThreadedTokenSource(issuer=issuer, api_key=threading.Event().wait, timeout=0.05)
try:
    source.get_token()
except KeyUnreadableError:
    print("exits")
"""

MAIN_ENDED = """
def work():
    threading.main_thread().join()
    with ThreadedTokenSource(issuer=issuer, api_key=lambda: key) as source:
        print(source.get_token())

threading.Thread(target=work).start()
"""

INTERRUPTED = """
def read_and_interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    return key

source = ThreadedTokenSource(issuer=issuer, api_key=read_and_interrupt)
try:
    source.get_token()
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("program", [EXITING, HANGING], ids=["exchange", "key function"])
def test_the_interpreter_exits_although_something_hangs(program, issuer):
    issuer.gate.clear()
    assert run_program(BEGIN + program, issuer.url, KEY) == ["exits"]


def test_threads_get_tokens_after_the_main_thread_has_ended(issuer):
    url = f"http://localhost:{issuer.port}"  # a name, which is looked up in a thread
    assert run_program(BEGIN + MAIN_ENDED, url, KEY) == ["token-1"]


def test_the_keyboard_interrupts_a_caller_that_waits(issuer):
    issuer.gate.clear()
    assert run_program(BEGIN + INTERRUPTED, issuer.url, KEY) == ["interrupted"]
