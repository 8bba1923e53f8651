"""How long each callback of an event loop takes, in processor time, and what it was doing.

Processor time is what a callback itself uses, so other processes do not spoil the figures.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import uvloop

if TYPE_CHECKING:
    from asyncio import Handle, TimerHandle
    from collections.abc import Callable
    from contextvars import Context

_LEAST: Final = 0.002  # seconds; shorter callbacks are not noted
_LOOK: Final = 0.0005
_FRAMES: Final = 8


class LongCallback(NamedTuple):
    """A callback that took long; `stack`: where it was a moment before its end, if it was seen."""

    milliseconds: float
    name: str
    stack: str


class Callbacks:
    """Notes the long callbacks of the thread in which it is made, and runs of the collector."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self._thread)
        self._began: float | None = None
        self._collecting_since = 0.0
        self._seen: tuple[float, str] = (0.0, "")
        self._long: list[LongCallback] = []
        sys.setswitchinterval(_LOOK)  # else the looks below come too late
        gc.callbacks.append(self._note_collector)
        threading.Thread(target=self._look, daemon=True).start()

    def take(self) -> list[LongCallback]:
        """Return what was noted since the last call."""
        noted, self._long = self._long, []
        return noted

    def run(self, callback: Callable[..., Any], *arguments: Any) -> Any:  # noqa: ANN401
        """Call a callback, and note it if it took long."""
        began = self._began = time.thread_time()
        try:
            return callback(*arguments)
        finally:
            self._began = None
            took = time.thread_time() - began
            if took > _LEAST:
                stack = self._seen[1] if self._seen[0] == began else ""
                self._long.append(LongCallback(1000 * took, _name(callback), stack))

    def _look(self) -> None:
        """Remember where a callback is that has begun some time ago."""
        while True:
            time.sleep(_LOOK)
            began = self._began
            if began is not None and time.clock_gettime(self._clock) - began > _LEAST:
                current = sys._current_frames()[self._thread]  # noqa: SLF001 - its public name
                frames = traceback.extract_stack(current)
                seen = [f"{f.filename.rpartition('/')[2]}:{f.lineno} {f.name}" for f in frames]
                if self._began == began:
                    self._seen = began, " > ".join(seen[-_FRAMES:])

    def _note_collector(self, phase: str, info: dict[str, int]) -> None:
        if threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._collecting_since = time.thread_time()
            return
        took = time.thread_time() - self._collecting_since
        if took > _LEAST:
            name = f"collector of garbage, generation {info['generation']}"
            self._long.append(LongCallback(1000 * took, name, ""))


class TimedLoop(uvloop.Loop):
    """An event loop whose callbacks are timed. What arrives is handed over without one."""

    def __init__(self, callbacks: Callbacks) -> None:
        super().__init__()
        self._callbacks = callbacks

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> Handle:
        """Call it soon, and time it."""
        return super().call_soon(self._callbacks.run, callback, *args, context=context)

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> Handle:
        """Call it soon, from another thread, and time it."""
        return super().call_soon_threadsafe(self._callbacks.run, callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: object,
        context: Context | None = None,
    ) -> TimerHandle:
        """Call it later, and time it."""
        return super().call_later(delay, self._callbacks.run, callback, *args, context=context)


def _name(callback: Callable[..., Any]) -> str:
    """Return what a callback is: for a step of a task, the coroutine that it runs."""
    owner: Any = getattr(callback, "__self__", None)
    coroutine = owner.get_coro() if hasattr(owner, "get_coro") else callback
    return str(getattr(coroutine, "__qualname__", type(coroutine).__name__))
