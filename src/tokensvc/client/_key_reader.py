"""Where the API key comes from: a value, an environment variable, a file, or a function.

The key is read anew for every exchange, and once more when the issuer rejects it. So a key that was
replaced in the same place is found. Form and checksum are checked here, so half a file never
reaches the issuer. No message and no `repr` shows more of a key than its hint.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from tokensvc.client._errors import KeyUnreadableError
from tokensvc.core.api_key import check_prefix, parse_api_key
from tokensvc.core.errors import InvalidClientError, InvalidInputError

if TYPE_CHECKING:
    from tokensvc.core.api_key import ApiKey

DEFAULT_VARIABLE: Final = "TOKENSVC_API_KEY"
# A key has 36. A large file is something else, and is not read to its end.
_MOST_CHARACTERS: Final = 4096

KeyFunction: TypeAlias = Callable[[], str | Awaitable[str]]


@dataclass(frozen=True, slots=True)
class KeyFromEnvironment:
    """The API key is in the environment variable `name`."""

    name: str = DEFAULT_VARIABLE

    def __call__(self) -> str:
        """Return the value of the variable, "" if it is not set."""
        return os.environ.get(self.name, "")

    def __str__(self) -> str:
        """Return the name of the place for messages."""
        return f"the environment variable {self.name}"


@dataclass(frozen=True, slots=True)
class KeyFromFile:
    """The API key is in a file that holds nothing else except white space around it."""

    path: Path

    def __call__(self) -> str:
        """Return the text of the file."""
        with self.path.open(encoding="utf-8") as file:
            return file.read(_MOST_CHARACTERS)

    def __str__(self) -> str:
        """Return the name of the place for messages."""
        return f"the file {self.path}"


class KeyReader:
    """Reads the API key from its place, and remembers the hint of the key that it read last."""

    def __init__(
        self, place: str, read: KeyFunction, *, may_block: bool = False, hint: str = ""
    ) -> None:
        self.place = place
        self.hint = hint
        self._read = read
        self._may_block = may_block

    async def read_key(self, *, seconds: float) -> ApiKey:
        """Return the API key. Raises KeyUnreadableError, also if it takes more than `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                text = await asyncio.to_thread(self._read) if self._may_block else self._read()
                key = parse_key(await text if inspect.isawaitable(text) else text, self.place)
        except KeyUnreadableError:
            raise
        except Exception as error:  # noqa: BLE001 - a function of the caller may raise anything
            # The text of the error may hold the key, so only its class is told.
            raise KeyUnreadableError(
                f"the API key cannot be read from {self.place}: {type(error).__name__}"
            ) from None
        self.hint = key.hint
        return key


def build_reader(api_key: str | Path | KeyFunction | None) -> KeyReader:
    """Return the reader for what the caller gave; None means the variable TOKENSVC_API_KEY.

    Raises KeyUnreadableError for a value that is not an API key.
    """
    if isinstance(api_key, str):
        key = parse_key(api_key, "the API key given as a value")
        return KeyReader("the value given", lambda: key.text, hint=key.hint)
    if isinstance(api_key, Path):
        api_key = KeyFromFile(api_key)
    elif api_key is None:
        api_key = KeyFromEnvironment()
    if isinstance(api_key, KeyFromEnvironment | KeyFromFile):
        return KeyReader(str(api_key), api_key)
    name = getattr(api_key, "__qualname__", type(api_key).__qualname__)
    # A coroutine that a thread makes too late would be awaited by nobody, and Python warns of that.
    may_block = not inspect.iscoroutinefunction(api_key)
    return KeyReader(f"the function {name}", api_key, may_block=may_block)


def parse_key(text: object, place: str) -> ApiKey:
    """Return the API key that was read from `place`. Raises KeyUnreadableError."""
    if not isinstance(text, str) or not text.strip():
        raise KeyUnreadableError(f"{place} holds no API key")
    stripped = text.strip()
    try:
        # Only the issuer knows its prefix, so any one will do here.
        return parse_api_key(stripped, check_prefix(stripped[: stripped.find("-") + 1]))
    except (InvalidInputError, InvalidClientError):
        raise KeyUnreadableError(
            f"{place} holds something that is not an API key: its form or its checksum is wrong "
            "(a file must be given as a Path)"
        ) from None
