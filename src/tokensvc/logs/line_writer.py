"""Writing log lines without waiting for whatever reads them.

Lines gather in memory, and a thread writes many of them at once. So an exchange never waits for a
log. Lines are lost if the reader is slow or stuck, so that too many wait, and if they cannot be
written, as on a full disk. Lost lines are counted, and a line says how many as soon as writing
works again. After a fork the child starts without the lines of its parent.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import select
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TextIO

_MOST_WAITING: Final = 20_000
_PAUSE: Final = 0.05  # seconds, so it writes twenty times in a second at most
_RETRY: Final = 1.0  # seconds until it is tried again to say how many lines were lost
_PATIENCE_AT_EXIT: Final = 2.0


class LineWriter:
    """Writes lines to `stream` in the background; at most `most_waiting` lines may wait.

    Lines gather for `pause` seconds before they are written. `count_lost` is told how many lines
    were lost, whenever that happens. `write_some` writes to a file descriptor, and returns how many
    bytes it took.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        most_waiting: int = _MOST_WAITING,
        pause: float = _PAUSE,
        write_some: Callable[[int, memoryview], int] = os.write,
        count_lost: Callable[[int], object] | None = None,
    ) -> None:
        self._stream = stream
        self._most_waiting = most_waiting
        self._pause = pause
        self._write_some = write_some
        self._count_lost = count_lost
        self.begin()
        itself = weakref.ref(self)  # the hook can never be taken back, and must not keep it alive

        def begin_in_child() -> None:
            writer = itself()
            if writer is not None:
                writer.begin()

        os.register_at_fork(after_in_child=begin_in_child)
        atexit.register(self.close)

    def begin(self) -> None:
        """Start without lines and thread. The locks are new: a parent may hold the old ones."""
        self._lines: deque[str] = deque()
        self._lost = 0
        self._rest = b""  # of a line that was written in part
        self._counting = threading.Lock()
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def write(self, line: str) -> None:
        """Write a line soon; `line` does not end with a newline."""
        if len(self._lines) >= self._most_waiting:
            self._lose(1)
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
            lost = self._lost
            if lost:
                event = {"level": "error", "event": "log_lines_dropped", "lines": lost}
                lines.append(json.dumps(event))
            written = self._put(lines) if lines or self._rest else 0
            if lost and written == len(lines):
                self._forget(lost)
            # The line that tells of the loss stands last. It is not counted as lost itself.
            if written < len(lines):
                self._lose(len(lines) - written - bool(lost))
        finally:
            self._writing.release()

    def close(self) -> None:
        """Write what is left, but do not wait long for the reader."""
        self.flush(_PATIENCE_AT_EXIT)

    def _put(self, lines: Sequence[str]) -> int:
        """Write lines; return how many were written. What began to be written counts as written.

        Nobody can be told of a failure here, and the thread must live on.
        """
        data = [f"{line}\n".encode(errors="backslashreplace") for line in lines]
        try:
            descriptor = self._stream.fileno()
        except (OSError, ValueError, io.UnsupportedOperation):
            return self._put_text(lines)
        # Past the buffer of the stream: it would keep what it could not write, and nobody would
        # know which lines are lost.
        begun = len(self._rest)
        done = self._write_all(descriptor, self._rest + b"".join(data))
        if done < begun:
            self._rest = self._rest[done:]
            return 0
        self._rest, done, written = b"", done - begun, 0
        for line in data:
            if done <= 0:
                break
            self._rest = line[done:]  # empty if it was written whole
            done -= len(line)
            written += 1
        return written

    def _write_all(self, descriptor: int, data: bytes) -> int:
        """Write to a file; return how many bytes were written before it failed."""
        done = 0
        view = memoryview(data)
        while done < len(data):
            try:
                done += self._write_some(descriptor, view[done:])
            except BlockingIOError:
                # Somebody else made this pipe or terminal not block; it is shared with them.
                waiting = select.poll()
                waiting.register(descriptor, select.POLLOUT)
                waiting.poll()
            except OSError:
                break
        return done

    def _put_text(self, lines: Sequence[str]) -> int:
        """Write to a stream that is no file of the operating system."""
        try:
            self._stream.write("".join(f"{line}\n" for line in lines))
            self._stream.flush()
        except Exception:  # noqa: BLE001 - as above
            return 0
        return len(lines)

    def _lose(self, lines: int) -> None:
        with self._counting:
            self._lost += lines
        if self._count_lost is not None and lines:
            self._count_lost(lines)

    def _forget(self, lines: int) -> None:
        with self._counting:
            self._lost -= lines

    def _run(self) -> None:
        while True:
            # While something is lost or half written, it tries again even if nobody writes.
            self._wake.wait(_RETRY if self._lost or self._rest else None)
            threading.Event().wait(self._pause)  # what comes meanwhile is written with it
            self._wake.clear()
            self.flush()
