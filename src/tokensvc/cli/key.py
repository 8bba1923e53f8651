"""`tokensvc key`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tokensvc.cli import key_state
from tokensvc.cli.database import actor, run_use_case
from tokensvc.cli.duration import Duration
from tokensvc.cli.limits import build_limit_changes, limit_options
from tokensvc.cli.output import output_option, print_message, print_row, print_rows
from tokensvc.cli.rows import build_key_row
from tokensvc.cli.secret_io import create_secret_file
from tokensvc.cli.usage import build_usage, draw_usage
from tokensvc.issuer.admin import api_keys, key_rotation
from tokensvc.issuer.exchange.usage import list_usage

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import TextIO

    from tokensvc.issuer.admin.api_keys import NewKey

_capabilities = click.option(
    "--capability",
    "capabilities",
    multiple=True,
    help="What its tokens may do; give the option once for each capability.",
)
_write_env = click.option(
    "--write-env",
    type=click.Path(path_type=Path),
    help="Also write TOKENSVC_API_KEY=... to this new file, mode 0600.",
)


@click.group("key")
def command() -> None:
    """API keys.

    A key itself is shown once, when it is made. Only its digest is stored.
    """


for _command in (key_state.disable, key_state.enable, key_state.revoke, key_state.delete):
    command.add_command(_command)


@command.command("create")
@click.option("--account", "account_id", required=True, help="The owner (acct_...).")
@click.option("--name", required=True, help="What the key is for, in a word or two.")
@click.option("--description", default="", help="What the key is for, in more words.")
@_capabilities
@click.option(
    "--expires-in", type=Duration("never"), help="90d, 24h, or never, which is the default."
)
@limit_options
@_write_env
@output_option
def create(
    account_id: str,
    name: str,
    description: str,
    capabilities: tuple[str, ...],
    expires_in: timedelta | None,
    tier: str | None,
    per_minute: int | None,
    per_day: int | None,
    write_env: Path | None,
    output: str,
) -> None:
    """Create an API key.

    A capability that does not exist yet is added, unless its name is very like a known one.

    \b
    tokensvc key create --account acct_... --name ci \\
      --capability orders:read --capability orders:write
    tokensvc key create --account acct_... --name ci \\
      --capability orders:read --expires-in 90d -o json
    """
    wish = api_keys.KeyWish(
        name=name,
        description=description,
        capabilities=capabilities,
        life=expires_in or None,
        limits=build_limit_changes(tier, per_minute, per_day),
    )
    with create_secret_file(write_env) as file:
        made = run_use_case(
            lambda database, settings: api_keys.create_key(
                database, account_id, wish, prefix=settings.key_prefix, actor=actor()
            )
        )
        _print_new_key(made, output, file)


@command.command("list")
@click.option("--account", "account_id", help="Only keys of this account.")
@output_option
def list_(account_id: str | None, output: str) -> None:
    """List API keys."""
    found = run_use_case(
        lambda database, _: api_keys.list_keys(database, account_id), changes=False
    )
    shown = "id name hint state capabilities expires_at last_used_at account"
    print_rows(
        [build_key_row(listed) for listed in found],
        output,
        columns=shown.split(),
        empty="no keys yet: tokensvc key create --help",
    )


@command.command("show")
@click.argument("key_id")
@output_option
def show(key_id: str, output: str) -> None:
    """Show one API key.

    The key itself is not shown: it is stored nowhere.
    """
    listed = run_use_case(lambda database, _: api_keys.load_key(database, key_id), changes=False)
    print_row(build_key_row(listed), output)


@command.command("update")
@click.argument("key_id")
@click.option("--name", help="A new name.")
@click.option("--description", help="A new description.")
@_capabilities
@click.option("--expires-in", type=Duration("never"), help="From now: 90d, 24h, or never.")
@limit_options
@click.option(
    "--revoke-tokens", is_flag=True, help="Also revoke the tokens that it has got so far."
)
@output_option
def update(
    key_id: str,
    name: str | None,
    description: str | None,
    capabilities: tuple[str, ...],
    expires_in: timedelta | None,
    tier: str | None,
    per_minute: int | None,
    per_day: int | None,
    output: str,
    *,
    revoke_tokens: bool,
) -> None:
    """Change a key.

    What is not given stays as it is. The list of capabilities is replaced as a whole. Tokens that
    are already issued keep what they have, unless --revoke-tokens is given.
    """
    changes = api_keys.KeyChanges(
        name=name,
        description=description,
        capabilities=capabilities or None,
        life=expires_in,
        limits=build_limit_changes(tier, per_minute, per_day),
    )
    changed = run_use_case(
        lambda database, _: api_keys.update_key(
            database, key_id, changes, actor=actor(), revoke_tokens=revoke_tokens
        )
    )
    print_row(build_key_row(changed.listed), output)


@command.command("usage")
@click.argument("key_id")
@click.option(
    "--since", type=Duration(), default="48h", show_default=True, help="How far back: 48h, 7d, 90d."
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    help="By default text on a terminal and JSON elsewhere.",
)
def usage(key_id: str, since: timedelta, output: str | None) -> None:
    """Show how many tokens a key got.

    Issued tokens and refusals are counted per hour (UTC). The last seconds are not in it yet.
    """
    hours, last, now = run_use_case(
        lambda database, _: list_usage(database, key_id, since=since), changes=False
    )
    if (output or ("text" if sys.stdout.isatty() else "json")) == "json":
        click.echo(json.dumps(build_usage(key_id, hours, last)))
    else:
        click.echo(draw_usage(hours, last, since=now - since, until=now))


@command.command("rotate")
@click.argument("key_id")
@click.option(
    "--grace",
    type=Duration("now"),
    default="24h",
    show_default=True,
    help="How long the old key still works: now, 1h, 7d.",
)
@_write_env
@output_option
def rotate(key_id: str, grace: timedelta, write_env: Path | None, output: str) -> None:
    """Make a successor with the same rights.

    The old key works until the grace period is over. A key has at most one successor.

    \b
    tokensvc key rotate key_... --grace 7d
    """
    with create_secret_file(write_env) as file:
        made = run_use_case(
            lambda database, settings: key_rotation.rotate_key(
                database, key_id, grace=grace, prefix=settings.key_prefix, actor=actor()
            )
        )
        _print_new_key(made, output, file)


def _print_new_key(made: NewKey, output: str, env_file: TextIO | None) -> None:
    """Print a new key with its text, and write it to `env_file` too if there is one."""
    row = build_key_row(made.listed)
    print_row({"id": row.pop("id"), "key": made.key.text, **row}, output)
    if output == "text":
        print_message("the key is shown this once: store it now")
    if env_file is not None:
        env_file.write(f"TOKENSVC_API_KEY={made.key.text}\n")
