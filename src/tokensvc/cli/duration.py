"""Durations as options take them: 30s, 10m, 24h, 90d, 2w."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Final

import click

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_MOST_SECONDS: Final = 100 * 366 * 86400
_DURATION: Final = re.compile(r"(\d{1,6})([smhdw])")


class Duration(click.ParamType[timedelta]):
    """The type of an option that takes a duration.

    `zero` is a word for no time at all, where the option has a meaning for it: `now`, `never`.
    """

    name = "duration"

    def __init__(self, zero: str | None = None) -> None:
        self._zero = zero

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> timedelta:
        """Return the duration that `value` says; a text that says none is wrong usage."""
        if isinstance(value, timedelta):
            return value
        if self._zero is not None and value in {self._zero, "0"}:
            return timedelta()
        match = _DURATION.fullmatch(value)
        if match is None:
            zero = f", or {self._zero}" if self._zero else ""
            self.fail(
                f"{value!r} is not a duration; write it like 30s, 10m, 24h, 90d or 2w{zero}",
                param,
                ctx,
            )
        seconds = int(match[1]) * _UNITS[match[2]]
        if seconds > _MOST_SECONDS:
            self.fail(f"{value!r} is longer than a hundred years", param, ctx)
        return timedelta(seconds=seconds)


def whole_seconds(duration: timedelta) -> int:
    """Return a duration as whole seconds."""
    return int(duration.total_seconds())
