"""Writing log lines without waiting for whatever reads them.

Lines gather in memory, and a thread writes many of them at once. If the reader is slow or stuck,
lines are dropped, and a line says how many as soon as it reads again. So an exchange never waits
for a log. After a fork the child starts without the lines of its parent.
"""

from __future__ import annotations

import atexit
import json
import os
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from typing import TextIO

_MOST_WAITING: Final = 20_000
_PAUSE: Final = 0.05
_PATIENCE_AT_EXIT: Final = 2.0


class LineWriter:
    """Writes lines to `stream` in the background; at most `most_waiting` lines may wait."""

    def __init__(self, stream: TextIO, *, most_waiting: int = _MOST_WAITING) -> None:
        self._stream = stream
        self._most_waiting = most_waiting
        self.begin()
        itself = weakref.ref(self)

        def begin_in_child() -> None:
            writer = itself()
            if writer is not None:
                writer.begin()

        os.register_at_fork(after_in_child=begin_in_child)
        atexit.register(self.close)

    def begin(self) -> None:
        """Start without lines and without a thread."""
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def write(self, line: str) -> None:
        """Write a line soon; `line` does not end with a newline."""
        if len(self._lines) >= self._most_waiting:
            self._dropped += 1
            return
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
                self._thread.start()

    def flush(self, patience: float = -1) -> None:
        """Write all lines now.

        Gives up after `patience` seconds if another thread is stuck in writing; -1 waits for it.
        """
        if not self._writing.acquire(timeout=patience):
            return
        try:
            # Other threads may append meanwhile, so the number of lines is taken once.
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            dropped, self._dropped = self._dropped, 0
            if dropped:
                lines.append(
                    json.dumps({"level": "error", "event": "log_lines_dropped", "lines": dropped})
                )
            if lines:
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()
        except Exception:  # noqa: BLE001, S110 - nobody can be told, and the thread must live on
            pass
        finally:
            self._writing.release()

    def close(self) -> None:
        """Write what is left, but do not wait long for the reader."""
        self.flush(_PATIENCE_AT_EXIT)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            threading.Event().wait(_PAUSE)
            self._wake.clear()
            self.flush()
