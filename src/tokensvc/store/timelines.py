"""What this process has seen of primaries, and the small file that outlives it.

    <data folder>/timelines.json    0600; in the keys folder if there is no such data folder

The file lets a process that starts now, or a command, refuse an old primary even while the new one
does not answer. Several processes share it. Each reads it whenever it asks the hosts, and replaces
it when it has seen something newer. If two replace it at once, the loser finds that out when it
asks the next time, and writes again.
"""

from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING, Final

from tokensvc.core.primary import SeenTimelines
from tokensvc.logs.logger import get_logger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tokensvc.core.primary import PrimaryChoice

FILE_NAME: Final = "timelines.json"
_MOST_BYTES: Final = 65_536  # our file has some hundred; of a larger one no more is read

_log = get_logger(__name__)


class Timelines:
    """The newest timelines that were seen.

    `changes` counts how often another server had to be used than before: a connection that is older
    than the last change may lead to an old primary. `file`: where to remember them, nowhere by
    default.
    """

    def __init__(self, file: TimelineFile | None = None) -> None:
        self._file = file
        self._problem: str | None = None
        self.seen = SeenTimelines()
        self.changes = 0

    def recall(self) -> SeenTimelines:
        """Return what was seen, also by the other processes that share the file."""
        if self._file is not None:
            self._replace(self.seen.merge(self._file.load()))
        return self.seen

    def remember(self, choice: PrimaryChoice) -> None:
        """Note which server is used from now on; if it cannot be told, old connections end too."""
        # While nothing tells which server is the primary, no old connection may be used any more.
        if choice.problem != self._problem and choice.problem == "primary_unclear":
            self.changes += 1
        self._problem = choice.problem
        if choice.primary is None:
            return
        before = self.seen
        self._replace(before.add(choice.primary))
        if before.cluster not in {None, self.seen.cluster}:
            _log.warning("other_cluster", host=choice.primary.host, cluster=self.seen.cluster)
        # Of two clusters neither is newer, so a change of the cluster is written in any case.
        if self._file is not None:
            self._file.save(self.seen, anew=before.cluster != self.seen.cluster)

    def _replace(self, seen: SeenTimelines) -> None:
        """Take over what is newer, and count it as a change if it is."""
        before, self.seen = self.seen, seen
        if before.cluster is None:  # the first look: there is no older connection
            return
        newest = seen.find_newest(before.cluster)
        if seen.cluster != before.cluster or newest != before.find_newest(before.cluster):
            self.changes += 1


class TimelineFile:
    """The file, in the first of `folders` that is there and can be written to.

    `may_make`: if none of them is there, the first one is made.
    """

    def __init__(self, folders: Sequence[Path], *, may_make: bool) -> None:
        self._folders = folders
        self._may_make = may_make
        self._has_warned = False
        self._loaded = SeenTimelines()  # what the files said, to spare needless writes

    def load(self) -> SeenTimelines:
        """Return what the files in all folders say; nothing if there is none that can be read."""
        self._loaded = SeenTimelines()
        for folder in self._folders:
            try:
                self._loaded = self._loaded.merge(_read(folder / FILE_NAME))
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:
                self._warn("timelines_not_read", folder, error)
        return self._loaded

    def save(self, seen: SeenTimelines, *, anew: bool) -> None:
        """Write what is newer than in the files, or all of it if `anew`.

        If nothing can be written, that is said once.
        """
        known = self._loaded.newest
        if not anew and all(known.get(key, 0) >= timeline for key, timeline in seen.newest.items()):
            return
        if self._may_make and not any(folder.is_dir() for folder in self._folders):
            self._make(self._folders[0])
        for folder in self._folders:
            if not folder.is_dir():
                continue
            try:
                _write(folder, seen)
            except OSError as error:
                self._warn("timelines_not_written", folder, error)
            else:
                self._loaded = seen
                return

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            self._warn("timelines_not_written", folder, error)

    def _warn(self, event: str, folder: Path, error: Exception) -> None:
        if not self._has_warned:
            _log.warning(event, folder=str(folder), reason=type(error).__name__)
        self._has_warned = True


def _read(path: Path) -> SeenTimelines:
    """Read one file. Raises OSError, or ValueError if it is not as we write it."""
    with path.open("rb") as file:
        content = json.loads(file.read(_MOST_BYTES))
    try:
        newest = {int(cluster): int(number) for cluster, number in content["timelines"].items()}
        cluster = None if content["cluster"] is None else int(content["cluster"])
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not as it was written") from error
    return SeenTimelines(cluster=cluster, newest=newest)


def _write(folder: Path, seen: SeenTimelines) -> None:
    """Replace the file whole or not at all, mode 0600, so that it survives a crash."""
    newest = {str(cluster): timeline for cluster, timeline in seen.newest.items()}
    content = {"cluster": seen.cluster, "timelines": newest}
    # A name of its own, so that processes that write at once do not mix their drafts.
    draft = folder / f".{FILE_NAME}.{secrets.token_hex(4)}"
    how = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(draft, how, 0o600), "w") as file:
            if os.geteuid() == 0:  # a command that root runs must not lock the service out
                owner = folder.stat()
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(folder / FILE_NAME)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
