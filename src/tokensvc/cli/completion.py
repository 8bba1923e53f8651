"""`tokensvc completion`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import click
from click.shell_completion import get_completion_class

if TYPE_CHECKING:
    from click.shell_completion import ShellComplete

_VARIABLE: Final = "_TOKENSVC_COMPLETE"  # click looks for the name of the program in it


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script that lets a shell complete commands.

    \b
    bash, in ~/.bashrc:   eval "$(tokensvc completion bash)"
    zsh, in ~/.zshrc:     eval "$(tokensvc completion zsh)"
    fish:
      tokensvc completion fish > ~/.config/fish/completions/tokensvc.fish
    """
    kind = cast("type[ShellComplete]", get_completion_class(shell))
    click.echo(kind(context.find_root().command, {}, "tokensvc", _VARIABLE).source())
