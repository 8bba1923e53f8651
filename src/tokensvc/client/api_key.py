"""Where the API key comes from: a value, an environment variable, a file, or a function of the caller's.

It is read anew for every exchange, and once more when the issuer refuses it, so that a key that was rotated in place is picked up.
Form and checksum are checked here: half a file never reaches the issuer. No message and no `repr` holds more than the key's hint.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from tokensvc.client.errors import KeyUnreadableError
from tokensvc.core.api_key import ApiKey, check_prefix, parse_api_key
from tokensvc.core.errors import InvalidClientError, InvalidInputError

DEFAULT_VARIABLE: Final = "TOKENSVC_API_KEY"
_MOST_CHARACTERS: Final = 4096

KeyFunction: TypeAlias = Callable[[], str | Awaitable[str]]


@dataclass(frozen=True, slots=True)
class KeyFromEnvironment:
    """The environment variable that holds the API key."""

    name: str = DEFAULT_VARIABLE

    def __call__(self) -> str:
        """Read it."""
        return os.environ.get(self.name, "")

    def __str__(self) -> str:
        """Name the place."""
        return f"the environment variable {self.name}"


@dataclass(frozen=True, slots=True)
class KeyFromFile:
    """The file that holds the API key, and nothing else but white space around it."""

    path: Path

    def __call__(self) -> str:
        """Read it."""
        with self.path.open(encoding="utf-8") as file:
            return file.read(_MOST_CHARACTERS)

    def __str__(self) -> str:
        """Name the place."""
        return f"the file {self.path}"


@dataclass(frozen=True, slots=True)
class KeyReader:
    """Reads the API key. `may_block`: a function of the caller's, which may take its time. `hint`: only of a key given as a value."""

    place: str
    read: KeyFunction = field(repr=False)
    may_block: bool = False
    hint: str = ""


def build_reader(api_key: str | Path | KeyFunction | None) -> KeyReader:
    """Return the reader for what the caller gave; None means the environment variable TOKENSVC_API_KEY. Raises KeyUnreadableError."""
    if isinstance(api_key, str):
        key = check_key(api_key, "the API key given as a value")
        return KeyReader("the value given", lambda: key.text, hint=key.hint)
    if isinstance(api_key, Path):
        api_key = KeyFromFile(api_key)
    elif api_key is None:
        api_key = KeyFromEnvironment()
    if isinstance(api_key, KeyFromEnvironment | KeyFromFile):
        return KeyReader(str(api_key), api_key)
    return KeyReader(
        f"the function {getattr(api_key, '__qualname__', type(api_key).__qualname__)}",
        api_key,
        may_block=True,
    )


def check_key(text: object, place: str) -> ApiKey:
    """Return the API key that was read from `place`. Raises KeyUnreadableError."""
    if not isinstance(text, str) or not text.strip():
        raise KeyUnreadableError(f"{place} holds no API key")
    stripped = text.strip()
    try:
        return parse_api_key(stripped, check_prefix(stripped[: stripped.find("-") + 1]))
    except (InvalidInputError, InvalidClientError):
        raise KeyUnreadableError(
            f"{place} holds something that is no API key: the form or the checksum is wrong (a file is given as a Path)"
        ) from None


def explain(error: Exception, place: str) -> KeyUnreadableError:
    """Return what to tell when reading `place` failed; of the error only its kind, for its text may hold anything."""
    if isinstance(error, KeyUnreadableError):
        return error
    return KeyUnreadableError(f"the API key cannot be read from {place}: {type(error).__name__}")
