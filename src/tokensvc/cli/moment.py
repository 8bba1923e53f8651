"""Moments as options take them: 2026-07-01, or 2026-07-01T12:00:00Z."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click


class Moment(click.ParamType[datetime]):
    """The type of an option that takes a moment; without a time zone it is in UTC."""

    name = "moment"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> datetime:
        """Return the moment that `value` says; a text that says none is wrong usage."""
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is no moment; write it like 2026-07-01 or 2026-07-01T12:00:00Z",
                param,
                ctx,
            )
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
