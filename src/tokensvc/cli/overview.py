"""`tokensvc overview`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from tokensvc.cli.duration import Duration, whole_seconds
from tokensvc.cli.output import find_room, report_output_option
from tokensvc.cli.run import call

if TYPE_CHECKING:
    from datetime import timedelta


@click.command("overview")
@click.option(
    "--since", type=Duration(), default="24h", show_default=True, help="How far back: 24h, 7d, 30d."
)
@report_output_option
def command(since: timedelta, output: str) -> None:
    """Show exchanges by the hour, and how many keys need a look."""
    shown = call("overview.show", {"since": whole_seconds(since)})
    if output == "json":
        click.echo(json.dumps(shown))
        return
    from tokensvc.cli.usage import draw_counts  # noqa: PLC0415 - not needed for other commands

    counts = shown["keys"] | (shown["things"] or {})
    width = max(map(len, counts))
    for name, count in counts.items():
        click.echo(f"{name:<{width}} {count:>8}")
    click.echo()
    click.echo(draw_counts(shown, find_room()))
