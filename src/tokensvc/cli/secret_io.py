"""Where commands read secrets from, and where they write them to.

Secrets are read from stdin, a file, the environment or a hidden prompt. No option takes one as its
value: everybody on the machine can see the command line of a process.
"""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import contextmanager
from getpass import GetPassWarning
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tokensvc.cli.remote_errors import CredentialRefusedError
from tokensvc.cli.surroundings import is_printing_possible
from tokensvc.core.decoding import decode_text
from tokensvc.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from tokensvc.cli.target import Target

_LONGEST_PATH: Final = 255


def read_token(source: str) -> str:
    """Return the token in the file `source`, or on stdin if it is `-`. Raises InvalidInputError."""
    if source != "-" and (len(source) > _LONGEST_PATH or not _can_be_read(Path(source))):
        raise InvalidInputError(
            "name a file that holds the token, or - for stdin; "
            "everybody on this machine can see a token on the command line"
        )
    text = read_text(source).strip()
    if not text:
        raise InvalidInputError(
            "no token came: " + ("stdin" if source == "-" else source) + " is empty"
        )
    return text


def _can_be_read(path: Path) -> bool:
    """Tell whether there is a file, or a pipe: a shell writes `<(command)` as one."""
    return path.exists() and not path.is_dir()


def read_api_key(path: Path | None) -> str:
    """Return the API key in the file `path`, else that of the environment, else from a prompt.

    The environment has it in TOKENSVC_API_KEY, or its file in TOKENSVC_API_KEY_FILE. The prompt is
    hidden; without a terminal stdin is read. Raises InvalidInputError, CredentialRefusedError.
    """
    if path is not None:
        return read_text(str(path)).strip()
    from_environment = _find_in_environment()
    if from_environment is not None:
        return from_environment
    return _ask_for_api_key()


def _ask_for_api_key() -> str:
    try:
        with warnings.catch_warnings():
            # Without a terminal getpass would only warn, and show what is typed.
            warnings.simplefilter("error", GetPassWarning)
            text: str = click.prompt("API key", hide_input=True, err=True)
    except GetPassWarning:  # there is no terminal, so nobody sees what is typed
        text = read_text("-")
    if not text.strip():
        raise CredentialRefusedError(
            "there is no API key, and nobody to ask for one: set TOKENSVC_API_KEY or "
            "TOKENSVC_API_KEY_FILE, or send it to stdin"
        )
    return text.strip()


def find_credential(target: Target) -> str:
    """Return the API key for a service: that of its profile, of the environment, or of a prompt.

    The key of a profile goes before that of the environment, so that no key is shown to a service
    that it is not for. Raises InvalidInputError, CredentialRefusedError.
    """
    profile = target.profile
    if profile is not None and profile.key is not None:
        return profile.key
    if profile is not None and profile.key_file is not None:
        return read_text(profile.key_file).strip()
    if _find_in_environment() is None and not sys.stdin.isatty():
        raise CredentialRefusedError(
            f"there is no API key for {target.url}: set TOKENSVC_API_KEY or TOKENSVC_API_KEY_FILE, "
            "or add a profile that has one"
        )
    return read_api_key(None)


def _find_in_environment() -> str | None:
    text, path = os.environ.get("TOKENSVC_API_KEY"), os.environ.get("TOKENSVC_API_KEY_FILE")
    if text and path:
        raise InvalidInputError(
            "TOKENSVC_API_KEY and TOKENSVC_API_KEY_FILE contradict each other: set only one of them"
        )
    if path:
        return read_text(path).strip()
    return text.strip() if text else None


@contextmanager
def create_secret_file(path: Path | None) -> Iterator[TextIO | None]:
    """Create the file that a secret will be written to, mode 0600; yield None if `path` is None.

    It is created before the secret is made, so that no secret is made and then lost because its
    file cannot be written. It is removed if the block fails. Raises InvalidInputError.
    """
    if path is None:
        if not is_printing_possible():
            raise InvalidInputError(
                "the secret would be lost: stdout takes nothing. Name a file for it"
            )
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


def read_text(source: str) -> str:
    """Return the text in the file `source`, or on stdin if it is `-`. Raises InvalidInputError."""
    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        return decode_text(data)
    except OSError as error:
        named = "stdin" if source == "-" else source
        raise InvalidInputError(f"{named} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{source} cannot be read as text") from error
