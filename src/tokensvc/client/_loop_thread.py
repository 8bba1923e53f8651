"""An event loop in a thread of its own, for programs without asyncio.

The thread is a daemon, and so are the threads in which its blocking calls run (name lookup, the
caller's function for the API key). They do not keep the interpreter from exiting, and they work
also in a program whose main thread has ended while other threads go on. A ThreadPoolExecutor would
do neither.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar

from tokensvc.client._after_fork import repair_in_children
from tokensvc.client._errors import SourceClosedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")
P = ParamSpec("P")

_LONGEST_STOP: Final = 5.0  # seconds


class LoopThread:
    """Runs coroutines in a thread that starts when it is first needed.

    It ends with `stop`, or when nothing refers to this object any more. A forked child starts a
    thread of its own.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        # Reentrant, because a signal handler may come while its own thread holds it.
        self._lock = threading.RLock()
        self._running: _Running | None = None
        self._is_stopped = False
        repair_in_children(self, LoopThread._forget_thread)

    def submit(self, start: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Run the coroutine that `start` returns, and return its future result.

        The future is cancelled by `stop`. Raises SourceClosedError after `stop`.
        """
        with self._lock:
            if self._is_stopped:
                raise SourceClosedError
            if self._running is None or not self._running.thread.is_alive():
                self._running = _start_thread(self, self._name)
            return asyncio.run_coroutine_threadsafe(start(), self._running.loop)

    def stop(self) -> None:
        """Cancel all coroutines and end the thread.

        Waits for the end, but not longer than 5 s: a function of the caller may hang there.
        """
        with self._lock:
            running, self._running, self._is_stopped = self._running, None, True
        if running is not None:
            running.end()
            if running.thread is not threading.current_thread():
                running.thread.join(_LONGEST_STOP)

    def _forget_thread(self) -> None:
        """In a forked child: forget the thread of the parent, and leave its event loop alone.

        Closing that loop here would close the parent's connections.
        """
        self._lock = threading.RLock()
        if self._running is not None:
            self._running.end.detach()
            self._running = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """The thread, its event loop, and what ends both; calling `end` twice is harmless."""

    thread: threading.Thread
    loop: asyncio.AbstractEventLoop
    end: weakref.finalize[..., LoopThread]


class _DaemonThreads(ThreadPoolExecutor):
    """Runs each call in a daemon thread of its own.

    It is a ThreadPoolExecutor only because event loops accept nothing else.
    """

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a thread for the call, and return its future result."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=run, name="tokensvc-client-call", daemon=True).start()
        return future


def _start_thread(owner: LoopThread, name: str) -> _Running:
    """Start the thread.

    It does not refer to `owner`, so that it can end when nothing else refers to `owner` any more.
    """
    loop, ending = _new_loop(), asyncio.Event()
    loop.set_default_executor(_DaemonThreads())
    thread = threading.Thread(target=_run, args=(loop, ending), name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # there is no thread
        loop.close()
        raise
    except BaseException:  # Ctrl-C while the thread was awaited, so it runs
        _end(loop, ending)
        raise
    end = weakref.finalize(owner, _end, loop, ending)
    # At the exit a daemon thread ends by itself, and nothing may wait for it.
    end.atexit = False
    return _Running(thread=thread, loop=loop, end=end)


def _new_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop that does no harm in a forked child, whatever becomes of it there.

    asyncio.new_event_loop() may return a loop of uvloop, which crashes there. And an epoll object,
    which is the default, would be shared with the parent.
    """
    new_selector = getattr(selectors, "PollSelector", selectors.DefaultSelector)
    return asyncio.SelectorEventLoop(new_selector())


def _run(loop: asyncio.AbstractEventLoop, ending: asyncio.Event) -> None:
    # At the end the runner cancels what is left, and closes the loop.
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(ending.wait())


def _end(loop: asyncio.AbstractEventLoop, ending: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed already
        loop.call_soon_threadsafe(ending.set)
