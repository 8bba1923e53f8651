"""Every command that is an operation goes through here: over HTTP, or on the host's database.

Both ways take the same request and return the same answer: the fields of the response model as JSON
has them. Both raise the same errors.
"""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, Protocol

import click

from tokensvc.cli.target import find_target
from tokensvc.core.errors import InvalidInputError
from tokensvc.operations.finding import load_operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tokensvc.operations.operation import Operation

_RUNNER: Final = "tokensvc.runner"
_LIMIT: Final = "tokensvc.limit"
_MOST_ON_A_PAGE: Final = 1000


class Runner(Protocol):
    """What carries operations out."""

    def run(self, operation: Operation, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return what an operation answers. Raises TokensvcError."""

    def close(self) -> None:
        """Let go of what is held."""


def call(name: str, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what the operation `name` answers to `request`. Raises TokensvcError."""
    operation = load_operation(name)
    try:
        # Bytes on the command line that are no text arrive as lone surrogates, which no request can
        # hold.
        json.dumps(request, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            "what was typed, or a file, holds bytes that are no text in this locale"
        ) from error
    return _find_runner(operation).run(operation, request or {})


def limit_option(
    default: int | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command that lists things `--limit`; `call_pages` obeys it."""
    return click.option(
        "--limit",
        "--most",
        type=click.IntRange(min=1),
        default=default,
        show_default=default is not None,
        expose_value=False,
        callback=lambda ctx, _, value: ctx.meta.__setitem__(_LIMIT, value),
        help="How many to list at most.",
    )


def call_pages(name: str, request: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Yield the pages of a list, up to the limit of the command. Raises TokensvcError."""
    pages = _iterate_pages(name, request, click.get_current_context().meta.get(_LIMIT))
    return (page["items"] for page in pages)


def call_whole(name: str, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the last page of a list, with the things of all pages in it. Raises TokensvcError."""
    *before, last = _iterate_pages(name, request or {}, None)
    return {**last, "items": [item for page in (*before, last) for item in page["items"]]}


def list_all(name: str, request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return all things of a list, whatever the limit of the command. Raises TokensvcError."""
    items: list[dict[str, Any]] = call_whole(name, request)["items"]
    return items


def _iterate_pages(
    name: str, request: Mapping[str, Any], most: int | None
) -> Iterator[dict[str, Any]]:
    left, cursor = most, None
    while left is None or left > 0:
        limit = _MOST_ON_A_PAGE if left is None else min(left, _MOST_ON_A_PAGE)
        given = {**request, "limit": limit}
        page = call(name, given if cursor is None else {**given, "cursor": cursor})
        cursor = page["next_cursor"]
        page["items"] = page["items"][:left]
        yield page
        if cursor is None:
            return
        left = None if left is None else left - len(page["items"])


def given(**fields: object) -> dict[str, Any]:
    """Return the fields that are not None: what the options of a command say."""
    return {name: value for name, value in fields.items() if value is not None}


def _find_runner(operation: Operation) -> Runner:
    """Return the runner of this command; it is opened at the first call, and closed at the end.

    A credential is looked for unless the operation, as all others of the command, needs none.
    """
    context = click.get_current_context().find_root()
    runner: Runner | None = context.meta.get(_RUNNER)
    if runner is None:
        runner = context.meta[_RUNNER] = context.with_resource(closing(_open_runner(operation)))
    return runner


def _open_runner(operation: Operation) -> Runner:
    target = find_target()
    if target is None:
        from tokensvc.cli.host import Host  # noqa: PLC0415 - the extra [cli] has no database

        return Host()
    from tokensvc.cli.remote import Remote  # noqa: PLC0415 - not needed on the host
    from tokensvc.cli.secret_io import find_credential  # noqa: PLC0415

    return Remote(target.url, None if operation.is_open else find_credential(target))
