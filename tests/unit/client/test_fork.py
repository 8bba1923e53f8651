"""Both kinds of token source in a forked child."""

from __future__ import annotations

import pytest
from tests.unit.client.loopback import KEY
from tests.unit.client.programs import run_program

BEGIN = """
import asyncio, gc, inspect, os, sys, threading, time
from tests.unit.client.loopback import KEY, Issuer
from tokensvc.client import ThreadedTokenSource, TokenSource

def get(source, **wanted):
    token = source.get_token(**wanted)
    return asyncio.run(token) if inspect.isawaitable(token) else token

def wait_for(child):
    print("child", os.waitpid(child, 0)[1], flush=True)
"""

LOCKED = """
held = threading.Event()

def clock():
    if threading.current_thread().name == "holder":  # the lock of the source is held here
        held.set()
        threading.Event().wait()
    return time.monotonic()

kind = {"TokenSource": TokenSource, "ThreadedTokenSource": ThreadedTokenSource}[sys.argv[1]]
source = kind(issuer=sys.argv[2], api_key=sys.argv[3], clock=clock)
print(get(source), flush=True)
holder = threading.Thread(target=source.drop_token, args=("x",), name="holder", daemon=True)
holder.start()
held.wait()
child = os.fork()
if child == 0:
    print(get(source), get(source, audience="other"), flush=True)
    sys.exit()
wait_for(child)
"""

IN_FLIGHT = """
issuer = Issuer()
source = ThreadedTokenSource(issuer=issuer.url, api_key=KEY)
print(get(source), flush=True)
issuer.gate.clear()
tokens = []
caller = threading.Thread(target=lambda: tokens.append(get(source, audience="slow")))
caller.start()
issuer.arrived.acquire()
issuer.arrived.acquire()  # the second exchange is under way
child = os.fork()
if child == 0:
    print(get(source), get(source, audience="slow"), flush=True)
    source.close()
    del source
    gc.collect()
    sys.exit()
while issuer.asked < 3:
    time.sleep(0.01)
issuer.gate.set()
wait_for(child)
caller.join()
print(*tokens, get(source, audience="slow") == tokens[0], flush=True)
source.close()
"""

IN_USE = """
issuer = Issuer()
stopping = threading.Event()

def use(number):
    turn = 0
    while not stopping.is_set():  # another scope each time, so there is always an exchange
        turn += 1
        get(source, scope=f"s{number}-{turn}")

source = ThreadedTokenSource(issuer=issuer.url, api_key=KEY)
assert get(source) == "token-1"
users = [threading.Thread(target=use, args=(number,)) for number in range(4)]
for user in users:
    user.start()
for _ in range(5):
    child = os.fork()
    if child == 0:
        assert get(source) == "token-1"
        assert get(source, scope="child").startswith("token-")
        os._exit(0)
    wait_for(child)
stopping.set()
for user in users:
    user.join()
source.close()
"""


@pytest.mark.parametrize("kind", ["TokenSource", "ThreadedTokenSource"])
def test_a_child_uses_the_tokens_of_its_parent_although_a_lost_thread_holds_the_lock(kind, issuer):
    words = run_program(BEGIN + LOCKED, kind, issuer.url, KEY)
    assert words == ["token-1", "token-1", "token-2", "child", "0"]


@pytest.mark.parametrize("first", ["", "import uvloop; uvloop.install()"], ids=["", "uvloop"])
def test_a_child_gets_a_token_although_its_parent_was_asking_for_it(first):
    words = run_program(first + BEGIN + IN_FLIGHT)
    assert words[:2] == ["token-1", "token-1"]
    assert {words[2], words[5]} == {"token-2", "token-3"}
    assert words[3:5] + words[6:] == ["child", "0", "True"]


def test_children_get_tokens_while_many_threads_of_the_parent_use_the_source():
    assert run_program(BEGIN + IN_USE) == ["child", "0"] * 5
