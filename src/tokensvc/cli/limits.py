"""Options for limits, the same for accounts and keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tokensvc.core.limit import LimitChanges

if TYPE_CHECKING:
    from collections.abc import Callable

_INHERIT = "inherit"


class _Limit(click.ParamType[int]):
    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401
        if value == _INHERIT:
            return 0
        if not str(value).isascii() or not str(value).isdecimal() or int(value) == 0:
            self.fail(f"{value!r} is no limit: write a number of tokens, or {_INHERIT}", param, ctx)
        return int(value)


def limit_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--tier`, `--per-minute` and `--per-day`; see `limit_changes`."""
    tier = click.option("--tier", help=f"Named limits (tokensvc tier list), or {_INHERIT}.")
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


def limit_changes(tier: str | None, per_minute: int | None, per_day: int | None) -> LimitChanges:
    """Return what the options of `limit_options` ask for."""
    return LimitChanges(
        tier="" if tier == _INHERIT else tier, per_minute=per_minute, per_day=per_day
    )
