"""The tree of commands, and the one map from errors to exit codes."""

from __future__ import annotations

import importlib
from typing import Final

import click

from tokensvc import __version__
from tokensvc.core import errors

# command -> (module, one line of help); the module has an attribute `command`
_COMMANDS: Final = {
    "serve": ("serve", "Run the service."),
    "init": (
        "init",
        "Prepare database, master key, signing keys and a first admin; serve does it by itself.",
    ),
    "migrate": ("migrate", "Bring the database's schema up to date."),
    "account": ("account", "Owners of API keys."),
    "key": ("key", "API keys."),
    "tier": ("tier", "Limits by name."),
    "capability": ("capability", "Names that may stand in a scope."),
    "audience": ("audience", "Whom tokens are for."),
    "token": ("token", "Get, verify, inspect and revoke tokens."),
    "signing-key": ("signing_key", "The keys that sign tokens."),
    "master-key": ("master_key", "What seals the signing keys."),
    "denylist": ("denylist", "What has been revoked."),
    "audit": ("audit", "Who did what, when."),
}

_EXIT_CODES: Final[tuple[tuple[type[errors.TokensvcError], int], ...]] = (
    (errors.NotFoundError, 3),
    (errors.InvalidClientError, 4),
    (errors.UnavailableError, 6),
    (errors.VerifierUnavailableError, 6),
    (errors.InvalidInputError, 5),
    (errors.ConflictError, 5),
    (errors.OAuthError, 5),
    (errors.BearerError, 5),
)


class _Root(click.Group):
    """A group whose commands are imported on use, and whose errors end as one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"tokensvc.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except errors.TokensvcError as error:
            reason = f" ({error.reason})" if isinstance(error, errors.BearerError) else ""
            click.echo(f"tokensvc: {error.message}{reason}", err=True)
            ctx.exit(next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), 1))


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tokensvc")
def root() -> None:
    """Exchange long-lived API keys for short-lived signed tokens.

    \b
    tokensvc serve                                             run the service
    tokensvc account create "Orders team"                      make an account
    tokensvc key create --account ID --name ci --capability orders:read
    tokensvc key revoke KEY_ID                                 no token any more, live ones refused within a second

    Settings are TOKENSVC_* environment variables. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no such thing, 4 credentials refused,
    5 refused, 6 not available now, 7 done but some followers lag (--wait).
    """
