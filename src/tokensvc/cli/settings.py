"""`tokensvc settings`."""

from __future__ import annotations

import click

from tokensvc.cli.output import list_output_option, print_pages
from tokensvc.cli.target import check_is_host


@click.command("settings")
@list_output_option
def command(output: str) -> None:
    """Show the settings of this machine, and where each of them comes from.

    They come from the environment, from the file that TOKENSVC_CONFIG names, or from a file that
    another setting names. What is secret is not shown. Nothing is started, and no database is
    asked: `tokensvc health --settings` shows those of a service that runs.
    """
    check_is_host()
    from tokensvc.settings.environment import load_settings  # noqa: PLC0415 - needs [server]
    from tokensvc.settings.showing import show_settings  # noqa: PLC0415

    rows = [
        {
            "name": shown.name,
            "value": "(secret)" if shown.is_secret and shown.is_set else shown.value,
            "source": shown.source,
        }
        for shown in show_settings(load_settings())
    ]
    print_pages([rows], output, columns=["name", "value", "source"], empty="there are no settings")
