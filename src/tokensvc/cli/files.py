"""Files that commands read secrets from and write them to."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tokensvc.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO


def read_file(path: Path) -> bytes:
    """Return the bytes of a file, or of stdin if it is `-`. Raises InvalidInputError."""
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}") from error


@contextmanager
def reserved(path: Path | None) -> Iterator[TextIO | None]:
    """Open the new file that a secret shall go to, mode 0600, before there is the secret; remove it if it does not come."""
    if path is None:
        yield None
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidInputError(
            f"{path} cannot be made ({error.strerror}); name a new file in a folder that exists"
        ) from error
    try:
        with os.fdopen(descriptor, "w") as file:
            yield file
    except BaseException:
        path.unlink()
        raise
