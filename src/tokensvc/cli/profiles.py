"""The profiles of a user: services that commands can be sent to, each with its API key.

They lie in `tokensvc/profiles.json` in the user's folder of settings, which nobody else can read. A
profile holds the key itself, or the name of the file that holds it.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokensvc.core.errors import InvalidInputError, NotFoundError


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A service, and the key to it; `key` is in no text that is printed."""

    url: str
    key: str | None = None
    key_file: str | None = None

    def __repr__(self) -> str:
        """Return a text without the key."""
        return f"Profile(url={self.url!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    """All profiles by name, and the name of the one that is in use, None for none."""

    by_name: dict[str, Profile]
    current: str | None = None

    def find(self, name: str) -> Profile:
        """Return a profile. Raises NotFoundError."""
        if name not in self.by_name:
            raise NotFoundError(
                f"there is no profile {name!r}; `tokensvc profile list` shows all profiles"
            )
        return self.by_name[name]


def load_profiles() -> Profiles:
    """Return the profiles of this user. Raises InvalidInputError if the file is damaged."""
    path = _find_path()
    try:
        stored: dict[str, Any] = json.loads(path.read_text("utf-8"))
        by_name = {name: Profile(**fields) for name, fields in stored["profiles"].items()}
        return Profiles(by_name=by_name, current=stored["current"])
    except FileNotFoundError:
        return Profiles(by_name={})
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InvalidInputError(f"{path} is damaged; remove it, and add its profiles") from error


def save_profiles(profiles: Profiles) -> None:
    """Write the profiles of this user, whole or not at all. Raises InvalidInputError."""
    path = _find_path()
    stored = {
        "current": profiles.current,
        "profiles": {name: asdict(profile) for name, profile in profiles.by_name.items()},
    }
    # Each process has its own draft, so commands that write at once do not mix them.
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(stored, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise InvalidInputError(f"{path} cannot be written: {error.strerror}") from error


def _find_path() -> Path:
    folder = os.environ.get("XDG_CONFIG_HOME")
    try:
        base = Path(folder) if folder else Path.home() / ".config"
    except RuntimeError as error:
        raise InvalidInputError("set XDG_CONFIG_HOME: there is no home folder here") from error
    return base / "tokensvc" / "profiles.json"
