"""The tree of commands."""

from __future__ import annotations

import importlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click
from click.exceptions import Exit
from click.shell_completion import CompletionItem

from tokensvc import __version__
from tokensvc.cli.exit_codes import ExitCode, find_exit_code
from tokensvc.cli.output import no_color_option
from tokensvc.cli.surroundings import stop_printing
from tokensvc.cli.target import Choice
from tokensvc.cli.wait_word import spell_out_wait
from tokensvc.core.errors import (
    BearerError,
    DatabaseRefusedError,
    InvalidInputError,
    TokensvcError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# Command -> (module, one line of help). The module has an attribute `command`.
COMMANDS: Final = {
    "serve": ("serve", "Run the service."),
    "init": ("init", "Prepare the database, the keys and a first admin, as serve does."),
    "migrate": ("migrate", "Bring the database's schema up to date."),
    "backup": ("backup", "Write everything in the database to a file."),
    "restore": ("restore", "Put a backup into the place of the database."),
    "account": ("account", "Owners of API keys."),
    "key": ("key", "API keys."),
    "tier": ("tier", "Named sets of limits."),
    "capability": ("capability", "Names that a token's scope may contain."),
    "audience": ("audience", "The services that tokens are for."),
    "token": ("token", "Get, verify, inspect and revoke tokens."),
    "signing-key": ("signing_key", "The keys that sign tokens."),
    "master-key": ("master_key", "The key that seals the signing keys."),
    "denylist": ("denylist", "What has been revoked, and the followers of the feed."),
    "notice": ("notice", "Who is told of events, by webhook and by mail."),
    "settings": ("settings", "The settings of this machine, and where they come from."),
    "health": ("health", "How Postgres, the clocks and the ledger are; the settings."),
    "doctor": ("doctor", "Look for faults of the set-up, and say what mends them."),
    "overview": ("overview", "Exchanges by the hour, and keys that need a look."),
    "whoami": ("whoami", "Who you are, and what you may do."),
    "profile": ("profile", "Services far away that commands can be sent to."),
    "audit": ("audit", "The audit trail: who changed what, and when."),
    "completion": ("completion", "Let a shell complete commands."),
}


# What may have been meant by a word that is no command.
_POSSIBLE: Final = (*COMMANDS, "--help", "--version")


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

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spell_out_wait(args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            raise click.NoSuchCommand(args[0], possibilities=_POSSIBLE, ctx=ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        # The method of a group would import every command.
        options = click.Command.shell_complete(self, ctx, incomplete)
        return options + [
            CompletionItem(name, help=text)
            for name, (_, text) in COMMANDS.items()
            if name.startswith(incomplete)
        ]

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _report_errors():  # --help and --version print already here
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> object:
        with _report_errors():
            return super().invoke(ctx)


@contextmanager
def _report_errors() -> Iterator[None]:
    """Turn an error into one line and an exit code."""
    try:
        yield
    except TokensvcError as error:
        click.echo(f"tokensvc: {_describe(error)}", err=True)
        raise Exit(find_exit_code(error)) from error
    except BrokenPipeError:
        raise  # click ends quietly: the program that reads our output has gone
    except OSError as error:  # of the machine: a full disk, a stream that was closed
        click.echo(f"tokensvc: {_describe_machine(error)}", err=True)
        stop_printing()
        raise Exit(ExitCode.FAILED) from error


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tokensvc")
@click.option("--url", help="Send the command to this service, over HTTP.")
@click.option("--profile", help="Send it to the service of this profile.")
@click.option("--host", is_flag=True, help="Use this machine's database, whatever else is set.")
@no_color_option
@click.pass_context
def root(context: click.Context, url: str | None, profile: str | None, *, host: bool) -> None:
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

    \b
    Commands work on the database of this machine, or on a service anywhere:
      export TOKENSVC_URL=https://tokens.example TOKENSVC_API_KEY=...
      tokensvc whoami

    Settings are TOKENSVC_* environment variables; `tokensvc settings` shows them.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 credentials refused, 5 refused,
    6 not available now, 7 done but some followers lag (--wait).
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        context.color = False
    context.obj = Choice(url=url, profile=profile, host=host)


def _describe(error: TokensvcError) -> str:
    """Return what people read of an error. The fields of a request stand before what is wrong."""
    if isinstance(error, BearerError):
        return f"{error.message} ({error.reason})"
    if isinstance(error, DatabaseRefusedError):
        return error.detail
    if isinstance(error, UnavailableError) and error.detail != error.message:
        return f"{error.message} ({error.detail})"
    faults = error.faults if isinstance(error, InvalidInputError) else ()
    if len(faults) > 1:
        lines = [f"{_name_field(fault.pointer)}: {fault.detail}" for fault in faults]
        return "\n  ".join(["these values cannot be accepted:", *lines])
    return error.message.removeprefix("/") if faults else error.message


def _describe_machine(error: OSError) -> str:
    """Return why the machine did not do what a command asked of it."""
    if error.filename is None:
        return (
            f"the output cannot be written, or the machine refuses something else "
            f"({error.strerror}). What the command has changed stays changed"
        )
    return f"{error.filename}: {error.strerror}"


def _name_field(pointer: str) -> str:
    """Return the field that a JSON pointer names, in a request however it was sent."""
    parts = pointer.removeprefix("#").removeprefix("/path").removeprefix("/query")
    return parts.removeprefix("/") or "the request"
