"""`tokensvc health`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from tokensvc.cli.output import report_output_option
from tokensvc.cli.run import call

if TYPE_CHECKING:
    from tokensvc.cli.output import Row


@click.command("health")
@click.option("--settings", is_flag=True, help="Print the settings too; secrets are not shown.")
@report_output_option
def command(output: str, *, settings: bool) -> None:
    """Show how Postgres, its schema, the clocks and the ledger are."""
    shown = call("health.show")
    if output == "json":
        click.echo(json.dumps(shown))
        return
    lines = list(_list_lines(shown).items())
    if settings:
        lines += [
            (
                each["name"],
                f"{'(secret)' if each['is_secret'] else each['value']}, {each['source']}",
            )
            for each in shown["settings"]
            if each["is_set"]
        ]
    for name, text in lines:
        click.echo(f"{name:<22} {text}")


def _list_lines(shown: Row) -> dict[str, object]:
    database, schema, process = shown["database"], shown["migrations"], shown["process"]
    lines = {
        "version": shown["version"],
        "postgres": f"{database['version']}, answers in {database['answer_seconds']} s",
        "connections": f"{database['connections']} of {database['connections_allowed']}",
        "size": f"{database['size_bytes']} bytes",
        "clock difference": f"{shown['clock_difference_seconds']} s",
        "migrations": f"{schema['applied']} of {schema['shipped']}",
        "missing": ", ".join(schema["missing"]) or "none",
    }
    if process is not None:
        failing = [name for name, holds in process["checks"].items() if not holds]
        lines |= {
            "checks": "all hold" if not failing else f"failing: {', '.join(failing)}",
            "warnings": "; ".join(process["warnings"]) or "none",
            "ledger": f"{process['judged']} requests in {process['statements']} statements",
        }
    return lines
