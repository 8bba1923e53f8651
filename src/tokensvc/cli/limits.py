"""The options for limits, which are the same for accounts and for keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tokensvc.cli.options import INHERIT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class _Limit(click.ParamType[int]):
    """The type of an option that takes a limit: a number of tokens, or 0 for `inherit`."""

    name = "number"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        if value == INHERIT:
            return 0
        text = str(value)
        if not text.isascii() or not text.isdecimal() or int(text) == 0:
            self.fail(
                f"{text!r} is not a limit; write a number of tokens, or {INHERIT}", param, ctx
            )
        return int(text)


def limit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--tier`, `--per-minute` and `--per-day`; see `build_limits`."""
    tier = click.option("--tier", help=f"A named set of limits (tokensvc tier list), or {INHERIT}.")
    minute = click.option(
        "--per-minute",
        type=_Limit(),
        help=f"Tokens a minute, whatever the tier says; or {INHERIT}.",
    )
    day = click.option(
        "--per-day",
        type=_Limit(),
        help=f"Tokens a day (UTC), whatever the tier says; or {INHERIT}.",
    )
    return tier(minute(day(command)))


def build_limits(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the options of `limit_options` ask for. None takes a limit of its own away."""
    fields = {
        name: options[name]
        for name in ("tier", "per_minute", "per_day")
        if options.get(name) is not None
    }
    return {name: None if value in {0, INHERIT} else value for name, value in fields.items()}
