"""The signals that stop the service, and those that it ignores."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
IGNORED: Final = (signal.SIGUSR1, signal.SIGUSR2)


@contextmanager
def signals_before_serving() -> Iterator[None]:
    """End at once when told to stop, as long as nobody is served yet. Ctrl-C does so anyway."""
    stopping = (n for n in list_stopping_signals() if n != signal.SIGINT)
    handlers: dict[signal.Signals, Callable[..., object]] = {
        **dict.fromkeys(stopping, lambda *_: sys.exit(0)),
        # Not SIG_IGN, which the programs of Postgres would inherit.
        **dict.fromkeys(IGNORED, lambda *_: None),
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def list_stopping_signals() -> tuple[signal.Signals, ...]:
    """Return what stops the service. Under nohup a terminal that closes does not."""
    under_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return tuple(n for n in STOPPING if not (under_nohup and n == signal.SIGHUP))
