"""Looking for API keys in the history of a git repository.

Each object of the repository is read once, in the order in which it lies on the disk: contents of
files, messages of commits and of tags, also what no branch leads to any more. If something was
found, the history is walked as well, for the commits that brought it in.

A repository may be a stranger's, and its configuration names programs. So only those commands of
git are used that are made for scripts: `git log` would run what `gpg.program` names.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from tokensvc.cli.scan_files import Find, find_in_stream
from tokensvc.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from tokensvc.core.api_key import ApiKey
    from tokensvc.core.leak import KeyFinder

# Nothing is fetched, nobody is asked, and no program is run that the repository names.
_ENVIRONMENT: Final = {
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_OPTIONS: Final = ("-c", "core.quotePath=false", "-c", "core.fsmonitor=")
# It shows the first commit as well (`--root`), and a merge beside each of its parents (`-m`).
_CHANGES: Final = (
    "diff-tree",
    "--stdin",
    "--root",
    "-r",
    "-m",
    "--raw",
    "--no-abbrev",
    "--no-renames",
)
_MESSAGES: Final = {"commit": "(message of the commit)", "tag": "(message of the tag)"}


@dataclass(slots=True, kw_only=True)
class _Object:
    """An object that holds keys: the line of each. `kind` as git names it."""

    kind: str
    keys: list[tuple[int, ApiKey]] = field(repr=False)


def find_in_history(folder: str, finder: KeyFinder) -> Iterator[Find]:
    """Yield each key of a repository once for each path that it stood at, the oldest commit first.

    Raises InvalidInputError if `folder` is in no repository, or git cannot read it.
    """
    found = _find_in_objects(folder, finder)
    if not found:
        return
    seen: set[tuple[str, str]] = set()
    for name, commit, path in _list_places(folder, found):
        for line, key in found[name].keys:
            if (key.text, path) not in seen:
                seen.add((key.text, path))
                yield Find(key=key, path=path, line=line, commit=commit)


def is_shallow(folder: str) -> bool:
    """Tell whether a repository was cloned without its whole history."""
    with _run(folder, "rev-parse", "--is-shallow-repository") as output:
        return output.read().strip() == b"true"


def _find_in_objects(folder: str, finder: KeyFinder) -> dict[str, _Object]:
    found = {}
    command = ("cat-file", "--batch", "--batch-all-objects", "--unordered", "--buffer")
    with _run(folder, *command) as output:
        while header := output.readline():
            name, kind, size = header.decode("ascii").split()
            if kind == "tree":
                _skip(output, int(size))
            else:
                keys = list(find_in_stream(output, finder, int(size)))
                if keys:
                    found[name] = _Object(kind=kind, keys=keys)
            output.read(1)  # the end of line that stands behind each object
    return found


def _list_places(folder: str, found: Mapping[str, _Object]) -> Iterator[tuple[str, str, str]]:
    """Yield (object, commit, path) for what was found, the oldest commit first."""
    left = set(found)
    for name, one in found.items():
        if one.kind in _MESSAGES:
            left.discard(name)
            yield name, name, _MESSAGES[one.kind]
    if left:
        with (
            _run(folder, "rev-list", "--all", "--reverse") as commits,
            _run(folder, *_CHANGES, stdin=commits) as output,
        ):
            commit = ""
            for line in output:
                # Lines are the id of a commit, and for each file that it changed: `:modes, objects
                # before and after, status`, a tab, and the path.
                text = line.decode("utf-8", "surrogateescape").rstrip("\n")
                if not text.startswith(":"):
                    commit = text
                    continue
                facts, _, path = text.partition("\t")
                name = facts.split(" ")[3]
                if name in found:
                    left.discard(name)
                    yield name, commit, path
    for name in sorted(left):
        yield name, name, "(no commit leads to this object)"


@contextmanager
def _run(folder: str, *arguments: str, stdin: BinaryIO | None = None) -> Iterator[BinaryIO]:
    """Lend the output of git. Raises InvalidInputError if it fails."""
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                ["git", "-C", folder, *_OPTIONS, *arguments],
                stdin=subprocess.DEVNULL if stdin is None else stdin,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **_ENVIRONMENT},
            )
        except OSError as error:
            raise InvalidInputError(f"git cannot be run: {error.strerror}") from error
        with process:
            try:
                yield cast("BinaryIO", process.stdout)
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            errors.seek(0)
            said = errors.read(2000).decode("utf-8", "replace").strip()
            raise InvalidInputError(f"git cannot read the history of {folder}: {said}")


def _skip(stream: BinaryIO, size: int) -> None:
    while size and (read := stream.read(min(size, 1024 * 1024))):
        size -= len(read)
