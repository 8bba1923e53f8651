"""The only reader and writer of the master key file."""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from tokensvc.core.decoding import decode_text
from tokensvc.core.errors import StartRefusedError
from tokensvc.core.sealing import MasterKey, new_master_key
from tokensvc.store.private_file import open_private

_LENGTH: Final = 32
_MOST_BYTES: Final = 4096
# Others must not be allowed to do this with a key file: one of ours, and one of root. libpq demands
# the same of its key files.
_NOT_OF_OURS: Final = stat.S_IRWXG | stat.S_IRWXO
_NOT_OF_ROOTS: Final = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
# Docker hands secrets over as files of root that everybody in the container may read.
_SECRETS_OF_DOCKER: Final = Path("/run/secrets")
_NOT_OF_DOCKERS: Final = stat.S_IWGRP | stat.S_IWOTH


def find_master_key(path: Path, *, is_credential: bool = False) -> MasterKey | None:
    """Return the master key, None if there is no file.

    `is_credential`: it lies in a credential folder, whose owner and mode the service manager sets.
    Raises StartRefusedError for a file that is unsafe or cannot be read.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            text = file.read(_MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StartRefusedError(
            f"the master key file {path} cannot be read: {error.strerror}"
        ) from error
    if not is_credential:
        is_secret = path.resolve().is_relative_to(_SECRETS_OF_DOCKER)
        check_mode(path, status, us=os.geteuid(), is_secret=is_secret)
    return parse_master_key(text, f"the master key file {path}")


def parse_master_key(text: bytes, where: str) -> MasterKey:
    """Return the master key that stands in `where`. Raises StartRefusedError."""
    try:
        secret = base64.b64decode(decode_text(text).strip(), validate=True)
    except ValueError:  # no base64, or no text
        secret = b""
    if len(secret) != _LENGTH:
        raise StartRefusedError(
            f"{where} does not hold a master key: 32 bytes in base64 on one line"
        )
    return MasterKey(secret)


def check_mode(path: Path, status: os.stat_result, *, us: int, is_secret: bool) -> None:
    """Raise StartRefusedError if others than `us` can read or change a key file.

    A group may read a file of root, which cannot be ours: so Kubernetes mounts it for `fsGroup`.
    `is_secret`: it lies where Docker mounts secrets.
    """
    if status.st_uid not in {0, us}:
        raise StartRefusedError(
            f"the master key file {path} belongs to another user, who can read and change it; "
            f"run: chown {us} {path}"
        )
    if status.st_uid != 0:
        forbidden = _NOT_OF_OURS
    else:
        forbidden = _NOT_OF_DOCKERS if is_secret else _NOT_OF_ROOTS
    if status.st_mode & forbidden:
        mode = stat.S_IMODE(status.st_mode)
        mounted = "; in Kubernetes set defaultMode: 0440 and fsGroup" if status.st_uid == 0 else ""
        raise StartRefusedError(
            f"the master key file {path} can be read by others (mode {mode:04o}); "
            f"run: chmod 600 {path}{mounted}"
        )


def next_path(path: Path) -> Path:
    """Return where the next master key waits while signing keys are being sealed under it."""
    return path.with_name(f"{path.name}.next")


def write_master_key(path: Path, master_key: MasterKey, *, replace: bool) -> None:
    """Write a master key file, mode 0600, so that it survives a crash.

    Raises StartRefusedError if there is one already, unless `replace` is given.
    """
    if replace:
        path.unlink(missing_ok=True)
    try:
        # Nothing is written into a file, or through a link, that somebody else has put there.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StartRefusedError(
            f"the master key file {path} cannot be made ({error.strerror}); "
            "name a new file in a folder that can be written"
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(master_key.secret) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def promote_next_master_key(path: Path) -> None:
    """Put the next master key in the place of the present one, which stays as `.old`.

    Nothing happens if another process has just done it.
    """
    following, old = next_path(path), path.with_name(f"{path.name}.old")
    with open_private(path.parent / f".{path.name}.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not following.exists():
            return
        if path.exists():
            old.unlink(missing_ok=True)
            # The old key gets a second name and is not renamed, so there is a file at `path` at
            # every moment.
            os.link(path, old)
        following.replace(path)
        _sync_folder(path.parent)


def create_master_key(path: Path) -> MasterKey:
    """Make a master key file, mode 0600; if another process was faster, return its key."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartRefusedError(
            f"the master key file {path} cannot be made ({error.strerror}); "
            "set TOKENSVC_KEYS_DIR to a folder that can be written"
        ) from error
    write_master_key(draft, new_master_key(), replace=False)
    try:
        try:
            os.link(draft, path)  # makes the file whole or not at all, and replaces none
        except FileExistsError:
            pass
    finally:
        draft.unlink()
    _sync_folder(path.parent)
    made = find_master_key(path)
    if made is None:
        raise StartRefusedError(f"the master key file {path} vanished while it was made")
    return made


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
