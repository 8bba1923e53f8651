"""What containers and shells leave out: a home, a folder for temporary files, a standard stream."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from tokensvc.core.errors import StartRefusedError

_NOWHERE: Final = "/nonexistent"
_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - folders in it get names that nobody can guess
_STREAMS: Final = (
    ("stdin", "r", os.O_RDONLY),
    ("stdout", "w", os.O_RDONLY),  # writing fails, so that nothing seems to have been printed
    ("stderr", "w", os.O_WRONLY),
)


def settle_home() -> None:
    """Have no home rather than one that this user may not enter, which libraries trip over."""
    with suppress(RuntimeError, KeyError):  # there is none, and libraries know that case
        if not os.access(Path.home(), os.X_OK):
            os.environ["HOME"] = _NOWHERE


def settle_streams() -> None:
    """Give a closed standard stream its number back, and print every text in any encoding.

    Otherwise the next file or socket that is opened would take the number.
    """
    for number, (name, mode, how) in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, how), number)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def is_printing_possible() -> bool:
    """Tell whether what is printed goes anywhere: stdout may be closed."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):  # it is no file of the system
        return True
    try:
        os.write(number, b"")
    except OSError:
        return False
    return True


def say(text: str) -> bool:
    """Print a text at once; return whether that was possible. If not, nothing is printed again."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError:
        stop_printing()
        return False
    return True


def stop_printing() -> None:
    """Let nothing be printed any more, not even what is left over when the program ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def find_scratch_folder() -> str:
    """Return a folder that can be written to. Raises StartRefusedError if there is none."""
    import tempfile  # noqa: PLC0415 - only `serve` asks for it

    with suppress(FileNotFoundError):
        return tempfile.gettempdir()
    if os.access(_IN_MEMORY, os.W_OK | os.X_OK):
        return str(_IN_MEMORY)
    raise StartRefusedError(
        "several workers count together in a folder, and none can be written to: make /tmp or "
        "/dev/shm writable, or start with one worker"
    )
