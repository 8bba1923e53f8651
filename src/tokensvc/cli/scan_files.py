"""Looking for API keys in files and folders."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokensvc.core.leak import LONGEST_FORM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

    from tokensvc.core.api_key import ApiKey
    from tokensvc.core.leak import KeyFinder

_READ_AT_ONCE: Final = 4 * 1024 * 1024
STDIN: Final = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """A key that was found. `commit`: where in a history; None for a file as it is now."""

    key: ApiKey = field(repr=False)
    path: str
    line: int
    commit: str | None = None


def find_in_stream(
    stream: BinaryIO, finder: KeyFinder, most: int | None = None
) -> Iterator[tuple[int, ApiKey]]:
    """Yield the line and the key of each find in the next `most` bytes of a stream, or in all.

    A stream of any size is read part by part. Each part begins with the end of the one before, so
    that no key is cut in two.
    """
    left = most
    part, line, last = b"", 1, -1
    before = 0  # how many bytes of the stream lie before `part`
    while True:
        size = _READ_AT_ONCE if left is None else min(left, _READ_AT_ONCE)
        read = stream.read(size) if size else b""
        if not read:
            return
        left = None if left is None else left - len(read)
        kept = part[-LONGEST_FORM:]
        line += part.count(b"\n", 0, len(part) - len(kept))
        before += len(part) - len(kept)
        part = kept + read
        for at, key in sorted(finder.find(part), key=lambda found: found[0]):
            if before + at > last:  # else it stood in the part before as well
                last = before + at
                yield line + part.count(b"\n", 0, at), key


def find_in_paths(
    paths: Iterable[str], finder: KeyFinder, complain: Callable[[str, str], None]
) -> Iterator[Find]:
    """Yield the keys in files, and in all files below folders.

    `complain` is told of each path that cannot be read, and why.
    """
    for file in (file for path in paths for file in _list_files(path, complain)):
        try:
            with (
                nullcontext(sys.stdin.buffer) if file == STDIN else Path(file).open("rb") as stream
            ):
                for line, key in find_in_stream(stream, finder):
                    yield Find(key=key, path=file, line=line)
        except OSError as error:
            complain(file, error.strerror or str(error))


def _list_files(path: str, complain: Callable[[str, str], None]) -> Iterator[str]:
    """Yield `path`, or all files below it if it is a folder, in the order of their names.

    Links below it are not followed, and devices, pipes and sockets are left out. So are the objects
    of a git repository, which are compressed: they are the history, which is read otherwise.
    """
    if path == STDIN or not Path(path).is_dir():
        yield path
        return

    def tell(error: OSError) -> None:
        complain(str(error.filename), error.strerror or str(error))

    for folder, folders, names in os.walk(path, onerror=tell):
        folders.sort()
        if "objects" in folders and "HEAD" in names:
            folders.remove("objects")
        for name in sorted(names):
            file = Path(folder, name)
            try:
                if stat.S_ISREG(file.lstat().st_mode):
                    yield str(file)
            except OSError as error:
                tell(error)
