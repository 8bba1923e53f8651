"""The verifier of programs without an event loop, against an issuer on loopback."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from testbed.waiting import wait_until
from tests.simulator import reason_of

from tokensvc.verify import ThreadedVerifier
from tokensvc.verify._fake_transport import InMemoryFetcher
from tokensvc.verify.testing import FakeIssuer

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def served(issuer: FakeIssuer) -> Iterator[str]:
    """Serve from a thread, because the test itself has no event loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    serving = issuer.serve()

    def run(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    try:
        yield run(serving.__aenter__())
        run(serving.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_it_verifies_and_learns_of_revocations_and_new_keys():
    issuer = FakeIssuer()
    with (
        served(issuer) as url,
        ThreadedVerifier(issuer=url, audience="api", jwks_cooldown=0.05) as verifier,
    ):
        assert verifier.status().ready
        token = issuer.token(scope="orders:read")
        assert verifier.verify(token).scope == ("orders:read",)
        issuer.revoke(token=token)
        wait_until(lambda: reason_of(verifier, token) == "revoked_jti")
        issuer.rotate()
        fresh = issuer.token()
        wait_until(lambda: reason_of(verifier, fresh) is None)  # an unknown kid wakes the thread


def test_it_may_be_asked_from_many_threads_at_once():
    issuer = FakeIssuer()
    with (
        served(issuer) as url,
        ThreadedVerifier(issuer=url, audience="api", remember=8, jwks_cooldown=0.01) as verifier,
        ThreadPoolExecutor(8) as pool,
    ):
        tokens = [issuer.token() for _ in range(20)]
        bad = [
            issuer.tampered(),
            issuer.expired_token(),
            issuer.wrong_audience(),
            FakeIssuer().token(),
        ]
        asked = [(tokens + bad)[number % 24] for number in range(2400)]
        answers = list(pool.map(lambda token: (token, reason_of(verifier, token)), asked))
    assert {reason for token, reason in answers if token in tokens} == {None}
    assert {reason for token, reason in answers if token in bad} == {
        "bad_signature",
        "expired",
        "wrong_audience",
        "wrong_issuer",
    }


def test_its_thread_ends_with_it_and_it_cannot_be_started_again():
    issuer = FakeIssuer()
    with served(issuer) as url:
        verifier = ThreadedVerifier(issuer=url, audience="api")
        verifier.close()  # there is nothing to close yet
        with pytest.raises(RuntimeError, match="was never started"):
            verifier.verify(issuer.token())
        with verifier:
            assert "tokensvc-verify" in {thread.name for thread in threading.enumerate()}
            with pytest.raises(RuntimeError, match="started already"):
                verifier.start()
        verifier.close()
        assert "tokensvc-verify" not in {thread.name for thread in threading.enumerate()}
        with pytest.raises(RuntimeError, match="started already"):
            verifier.start()


def test_it_keeps_a_snapshot_when_it_is_closed(tmp_path):
    issuer = FakeIssuer()
    path = tmp_path / "snapshot"
    with served(issuer) as url:
        with ThreadedVerifier(issuer=url, audience="api", snapshot_path=path):
            pass
        assert path.exists()
    # The issuer answers no more.
    with ThreadedVerifier(issuer=url, audience="api", snapshot_path=path) as verifier:
        assert reason_of(verifier, issuer.token()) is None


def test_a_start_that_fails_leaves_no_thread_behind(unused_tcp_port):
    class Broken(InMemoryFetcher):
        async def __aenter__(self):
            raise OSError("no network at all")

    url = f"http://127.0.0.1:{unused_tcp_port}"
    verifier = ThreadedVerifier(issuer=url, audience="api", fetcher=Broken(FakeIssuer()))
    with pytest.raises(OSError, match="no network at all"):
        verifier.start()
    assert "tokensvc-verify" not in {thread.name for thread in threading.enumerate()}


FORKED = """
import os, sys, warnings
from tokensvc.verify import ThreadedVerifier
# Later Pythons warn of fork() beside threads. That is what this program tries.
warnings.simplefilter("ignore", DeprecationWarning)
early = ThreadedVerifier(issuer=sys.argv[1], audience="api")
with ThreadedVerifier(issuer=sys.argv[1], audience="api") as verifier:
    verifier.verify(sys.argv[2])
    child = os.fork()
    if child == 0:
        code = 1
        try:
            verifier.verify(sys.argv[2])
        except RuntimeError as error:
            verifier.close()
            with early:  # made before the fork, started after it
                early.verify(sys.argv[2])
            code = 7 if "start one in each process" in str(error) else 2
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    verifier.verify(sys.argv[2])
print("good")
"""


def test_in_a_process_that_was_forked_it_raises_and_one_that_is_started_there_works():
    issuer = FakeIssuer()
    with served(issuer) as url:
        command = [sys.executable, "-c", FORKED, url, issuer.token()]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.returncode) == ("good\n", 0), done.stderr


def test_a_process_that_was_forked_is_told_what_to_do(monkeypatch):
    with ThreadedVerifier(
        issuer="https://auth.example.com", audience="api", fetcher=InMemoryFetcher(FakeIssuer())
    ) as verifier:
        parent = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: parent + 1)
        for refused in (verifier.start, lambda: verifier.verify("t")):
            with pytest.raises(RuntimeError, match="start one in each process"):
                refused()
        monkeypatch.undo()
