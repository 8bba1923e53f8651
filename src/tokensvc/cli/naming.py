"""Arguments that name a thing: by its id, by the beginning of its id, or by its name.

A whole id is taken as it is. For anything else the list of such things is asked, so it works on the
host and over HTTP alike. What is ambiguous is refused, and the candidates are listed.
"""

from __future__ import annotations

import functools
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import click

from tokensvc.cli.run import call, list_all
from tokensvc.core.errors import InvalidInputError, NotFoundError
from tokensvc.core.identifier import (
    ACCOUNT_ID_PATTERN,
    ENDPOINT_ID_PATTERN,
    KEY_ID_PATTERN,
    KID_PATTERN,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokensvc.cli.output import Row

    Decorator = Callable[[Callable[..., None]], Callable[..., None]]

_LEAST: Final = 4  # characters of a beginning, so that a slip does not hit another thing
_MOST_LISTED: Final = 10
_ENDED: Final = ("revoked", "expired")
_SHOWN: Final = ("id", "kid", "name", "url", "state", "phase", "account")
_LIKE_AN_API_KEY: Final = re.compile(r"[A-Za-z0-9]{1,7}-[A-Za-z0-9]{24,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of things with ids.

    `operation` lists them. `id_field` and `name_field`: where the id and the name stand. All ids
    begin with `mark`. `is_narrowed`: the list takes a beginning or a name, because it may be long.
    `words` are taken as they are.
    """

    noun: str
    operation: str
    pattern: str
    id_field: str = "id"
    name_field: str | None = None
    mark: str = ""
    is_narrowed: bool = False
    words: tuple[str, ...] = ()


ACCOUNT: Final = Kind(
    noun="account",
    operation="accounts.list",
    pattern=ACCOUNT_ID_PATTERN,
    name_field="name",
    mark="acct_",
    is_narrowed=True,
)
KEY: Final = Kind(
    noun="API key",
    operation="keys.list",
    pattern=KEY_ID_PATTERN,
    name_field="name",
    mark="key_",
    is_narrowed=True,
)
KEY_OR_SELF: Final = replace(KEY, words=("self",))
SIGNING_KEY: Final = Kind(
    noun="signing key", operation="signing-keys.list", pattern=KID_PATTERN, id_field="kid"
)
ENDPOINT: Final = Kind(
    noun="endpoint",
    operation="notice-endpoints.list",
    pattern=ENDPOINT_ID_PATTERN,
    name_field="url",
    mark="hook_",
)


def reference(kind: Kind, field: str, parameter: Decorator | None = None) -> Decorator:
    """Return a decorator that gives a command the argument `field`, which names a thing.

    It arrives as the id. `parameter`: the option or argument that it is, if it is a special one.
    The thing is looked up when everything else that was typed has been found good.
    """
    return _resolve(field, functools.partial(find_id, kind), parameter or click.argument(field))


def mention(field: str, operation: str, kinds: Sequence[Kind], option: Decorator) -> Decorator:
    """Return a decorator that gives a command an `option`, by which it filters an `operation`.

    It names a thing of one of `kinds`, and arrives as its id. But the list may also tell of things
    without an id, and of things that are gone: a text that it knows is taken as it is, and so is
    one that names nothing.
    """

    def find(text: str) -> str:
        if any(re.fullmatch(kind.pattern, text, re.ASCII) for kind in kinds):
            return text
        if call(operation, {field: text, "limit": 1})["items"]:
            return text
        return find_among(kinds, text)

    return _resolve(field, find, option)


def _resolve(field: str, find: Callable[[str], str], parameter: Decorator) -> Decorator:
    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def resolved(*more: Any, **options: Any) -> None:
            value = options[field]
            if isinstance(value, tuple):
                options[field] = tuple(find(text) for text in value)
            elif value is not None:
                options[field] = find(value)
            command(*more, **options)

        return parameter(resolved)

    return decorate


def find_among(kinds: Sequence[Kind], text: str) -> str:
    """Return the id of the thing of one of `kinds` that `text` names, `text` itself if none is.

    Raises InvalidInputError if it names several.
    """
    found: list[tuple[Kind, str]] = []
    for kind in kinds:
        with suppress(NotFoundError):
            # If a kind has no mark, any text may be the beginning of an id.
            if kind.mark or len(text) >= _LEAST:
                found.append((kind, find_id(kind, text)))
    if len(found) > 1:
        named = "\n  ".join(f"{value}  {kind.noun}" for kind, value in found)
        raise InvalidInputError(f"{text!r} names several things; give one of these ids:\n  {named}")
    return found[0][1] if found else text


def find_id(kind: Kind, text: str) -> str:
    """Return the id of the thing that `text` names. Raises NotFoundError, InvalidInputError."""
    if re.fullmatch(kind.pattern, text, re.ASCII) or text in kind.words:
        return text
    if kind.name_field is not None and _LIKE_AN_API_KEY.fullmatch(text):
        # It must not stand in the address of a request, and the message does not repeat it.
        raise InvalidInputError(f"name the {kind.noun} by its id or name, never by a key itself")
    is_beginning = _is_beginning(kind, text)
    if is_beginning and len(text) < len(kind.mark) + _LEAST:
        raise InvalidInputError(
            f"{text!r} is too short for the id of one {kind.noun}: give at least {_LEAST} "
            f"characters{f' after {kind.mark}' if kind.mark else ''}"
        )
    narrowed = {"id_prefix" if is_beginning else "name": text} if kind.is_narrowed else {}
    return choose_id(kind, text, list_all(kind.operation, narrowed))


def choose_id(kind: Kind, text: str, rows: Sequence[Row]) -> str:
    """Return the id of the one thing among `rows` that `text` names.

    A name means what is still of use before what has ended. Raises NotFoundError,
    InvalidInputError.
    """
    if _is_beginning(kind, text):
        found = [row for row in rows if row[kind.id_field].startswith(text)]
    else:
        named = [row for row in rows if row[str(kind.name_field)] == text]
        found = [row for row in named if row.get("state") not in _ENDED] or named
    if not found:
        raise NotFoundError(f"no {kind.noun} has the id or the name {text!r}")
    if len(found) > 1:
        raise InvalidInputError(_list_candidates(kind, text, found))
    return str(found[0][kind.id_field])


def _is_beginning(kind: Kind, text: str) -> bool:
    return kind.name_field is None or text.startswith(kind.mark)


def _list_candidates(kind: Kind, text: str, found: Sequence[Row]) -> str:
    lines = [
        "  ".join(str(row[name]) for name in _SHOWN if row.get(name) is not None)
        for row in found[:_MOST_LISTED]
    ]
    if len(found) > _MOST_LISTED:
        lines.append(f"and {len(found) - _MOST_LISTED} more")
    return "\n  ".join([f"{text!r} names several {kind.noun}s; give one of these ids:", *lines])
