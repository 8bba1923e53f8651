"""The options for limits, which are the same for accounts and for keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from tokensvc.core.limit import LimitChanges

if TYPE_CHECKING:
    from collections.abc import Callable

_INHERIT: Final = "inherit"


class _Limit(click.ParamType[int]):
    """The type of an option that takes a limit: a number of tokens, or 0 for `inherit`."""

    name = "number"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's own signature
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        if value == _INHERIT:
            return 0
        text = str(value)
        if not text.isascii() or not text.isdecimal() or int(text) == 0:
            self.fail(
                f"{text!r} is not a limit; write a number of tokens, or {_INHERIT}", param, ctx
            )
        return int(text)


def limit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--tier`, `--per-minute` and `--per-day`; see `build_limit_changes`."""
    tier = click.option(
        "--tier", help=f"A named set of limits (tokensvc tier list), or {_INHERIT}."
    )
    minute = click.option(
        "--per-minute",
        type=_Limit(),
        help=f"Tokens a minute, whatever the tier says; or {_INHERIT}.",
    )
    day = click.option(
        "--per-day",
        type=_Limit(),
        help=f"Tokens a day (UTC), whatever the tier says; or {_INHERIT}.",
    )
    return tier(minute(day(command)))


def build_limit_changes(
    tier: str | None, per_minute: int | None, per_day: int | None
) -> LimitChanges:
    """Return what the options of `limit_options` ask for."""
    return LimitChanges(
        tier="" if tier == _INHERIT else tier, per_minute=per_minute, per_day=per_day
    )
