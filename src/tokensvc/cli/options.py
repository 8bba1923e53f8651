"""Options and arguments that several commands have."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final

import click

from tokensvc.cli.run import limit_option
from tokensvc.cli.secret_io import read_text
from tokensvc.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

INHERIT: Final = "inherit"


class Member(click.ParamType[tuple[str, str]]):
    """The type of an option that takes a name and a text: `team=orders`."""

    name = "name=text"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, str]:
        """Return the name and the text."""
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not name or not equals:
            self.fail(f"{value!r} must be a name and a text, like team=orders", param, ctx)
        return name, text


def reason_option(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--reason`."""
    return click.option("--reason", help="Why, for the audit trail.")(command)


def add_alias(group: click.Group, command: click.Command, name: str) -> None:
    """Let a command be called by another name too, which the help does not show."""
    alias = copy.copy(command)
    alias.hidden = True
    group.add_command(alias, name)


def read_object(source: str) -> dict[str, Any]:
    """Return the JSON object in the file `source`, `-` for stdin. Raises InvalidInputError."""
    try:
        value = json.loads(read_text(source))
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{source} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidInputError(f"{source} must hold a JSON object")
    return value


def list_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that lists names `--name`, `--with-use` and `--limit`."""
    name = click.option("--name", help="Only those with this in their name.")
    with_use = click.option("--with-use", is_flag=True, help="Also show where each is used.")
    return name(with_use(limit_option()(command)))


def build_list_request(name: str | None, *, with_use: bool) -> dict[str, object]:
    """Return what the options of `list_options` ask for."""
    wanted: dict[str, object] = {} if name is None else {"name": name}
    return {**wanted, "with_use": True} if with_use else wanted
