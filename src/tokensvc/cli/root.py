"""The tree of commands."""

from __future__ import annotations

import importlib
from typing import Final

import click

from tokensvc import __version__
from tokensvc.cli.exit_codes import find_exit_code
from tokensvc.core.errors import BearerError, TokensvcError

# Command -> (module, one line of help). The module has an attribute `command`.
COMMANDS: Final = {
    "serve": ("serve", "Run the service."),
    "init": ("init", "Prepare the database, the keys and a first admin, as serve does."),
    "migrate": ("migrate", "Bring the database's schema up to date."),
    "account": ("account", "Owners of API keys."),
    "key": ("key", "API keys."),
    "tier": ("tier", "Named sets of limits."),
    "capability": ("capability", "Names that a token's scope may contain."),
    "audience": ("audience", "The services that tokens are for."),
    "token": ("token", "Get, verify, inspect and revoke tokens."),
    "signing-key": ("signing_key", "The keys that sign tokens."),
    "master-key": ("master_key", "The key that seals the signing keys."),
    "denylist": ("denylist", "What has been revoked, and the followers of the feed."),
    "audit": ("audit", "The audit trail: who changed what, and when."),
}


class _Root(click.Group):
    """A group that imports a command on use, and turns an error into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"tokensvc.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except TokensvcError as error:
            reason = f" ({error.reason})" if isinstance(error, BearerError) else ""
            click.echo(f"tokensvc: {error.message}{reason}", err=True)
            ctx.exit(find_exit_code(error))


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tokensvc")
def root() -> None:
    """Exchange long-lived API keys for short-lived signed tokens.

    \b
    Run the service:
      tokensvc serve
    Make an account, and an API key for it:
      tokensvc account create "Orders team"
      tokensvc key create --account ID --name ci --capability orders:read
    Revoke a key. It gets no more tokens, and its tokens are refused within a
    second:
      tokensvc key revoke KEY_ID

    Settings are TOKENSVC_* environment variables.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 credentials refused, 5 refused,
    6 not available now, 7 done but some followers lag (--wait).
    """
