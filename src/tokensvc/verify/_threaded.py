"""The verifier for programs without an event loop. Its followers run in a thread of their own.

`verify` runs in the thread that calls it, and waits for nothing.

Not here: verifying in a process that was forked after the start. The thread does not exist in the
child process, so nothing would be followed there. A server that forks can make the verifier early,
and must start it in each of its processes.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Self

from tokensvc.verify._options import keywords_of
from tokensvc.verify._verifier import Status, Verifier

if TYPE_CHECKING:
    from types import TracebackType

    from tokensvc.core.claims import Claims


class ThreadedVerifier:
    """Verifies like `Verifier`, with the same options, in any thread.

    with ThreadedVerifier(issuer="https://auth.example.com", audience="orders-api") as verifier:
        claims = verifier.verify(token)
    """

    @keywords_of(Verifier)
    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier
        self._process_id: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Start following; see `start`."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop following."""
        self.close()

    def start(self) -> None:
        """Start following, and wait for keys and denylist as `Verifier.start` does.

        It can be started once. Raises RuntimeError the second time.
        """
        self._check_process()
        if self._thread is not None:
            raise RuntimeError("the verifier has been started already")
        self._process_id = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=_run, args=(self._loop,), name="tokensvc-verify", daemon=True
        )
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._verifier.start(), self._loop).result()
        except BaseException:  # also KeyboardInterrupt
            self.close()
            raise

    def close(self) -> None:
        """Stop following, and wait until the thread has ended."""
        loop, self._loop = self._loop, None
        # In a forked child the thread does not exist, so nobody would answer.
        if loop is None or self._thread is None or os.getpid() != self._process_id:
            return
        try:
            asyncio.run_coroutine_threadsafe(self._verifier.close(), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join()

    def verify(self, token: str) -> Claims:
        """Return the claims of a good token.

        Raises what `Verifier.verify` does, and RuntimeError in a process that was forked.
        """
        self._check_process()
        return self._verifier.verify(token)

    def status(self) -> Status:
        """Return what is known and how fresh it is, for readiness and metrics."""
        return self._verifier.status()

    def _check_process(self) -> None:
        if self._process_id is not None and self._process_id != os.getpid():
            raise RuntimeError(
                "this process was forked after the ThreadedVerifier had been started:"
                " start one in each process"
            )


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        # A thread may still write a snapshot, or run `feed_token`.
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
