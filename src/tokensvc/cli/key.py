"""`tokensvc key`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tokensvc.cli import key_batch, key_leaks, key_list, key_scan, key_state
from tokensvc.cli.duration import Duration, whole_seconds
from tokensvc.cli.key_fields import build_fields, change_options, field_options
from tokensvc.cli.naming import ACCOUNT, KEY, KEY_OR_SELF, reference
from tokensvc.cli.output import (
    find_room,
    output_option,
    print_message,
    print_row,
    report_output_option,
)
from tokensvc.cli.run import call, list_all
from tokensvc.cli.secret_io import create_secret_file

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import TextIO

    from tokensvc.cli.output import Row

_SELF: Final = "self"

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


@command.command("create")
@reference(
    ACCOUNT, "account", click.option("--account", required=True, help="The owner, by id or name.")
)
@click.option("--name", required=True, help="What the key is for, in a word or two.")
@field_options
@_write_env
@output_option
def create(account: str, write_env: Path | None, output: str, **options: Any) -> None:
    """Create an API key.

    A capability that does not exist yet is added, unless its name is very like a known one.

    \b
    tokensvc key create --account acct_... --name ci \\
      --capability orders:read --capability orders:write
    tokensvc key create --account acct_... --name ci \\
      --capability orders:read --expires-in 90d -o json
    """
    fields = build_fields(options)
    fields.setdefault("capabilities", [])
    with create_secret_file(write_env) as file:
        _print_new_key(call("keys.create", {"account": account, **fields}), output, file)


@command.command("show")
@reference(KEY, "key_id")
@output_option
def show(key_id: str, output: str) -> None:
    """Show one API key.

    The key itself is not shown: it is stored nowhere.
    """
    print_row(call("keys.show", {"id": key_id}), output)


@command.command("update")
@reference(KEY, "key_id")
@change_options
@click.option(
    "--revoke-tokens", is_flag=True, help="Also revoke the tokens that it has got so far."
)
@output_option
def update(key_id: str, output: str, *, revoke_tokens: bool, **options: Any) -> None:
    """Change a key.

    What is not given stays as it is. A list, the notes and the claims are replaced as a whole.
    Tokens that are already issued keep what they have, unless --revoke-tokens is given.
    """
    changes = build_fields(options)
    if revoke_tokens:
        changes["revoke_tokens"] = True
    print_row(call("keys.update", {"id": key_id, **changes}), output)


@command.command("usage")
@reference(KEY, "key_ids", click.argument("key_ids", metavar="KEY_ID...", nargs=-1, required=True))
@click.option(
    "--since", type=Duration(), default="48h", show_default=True, help="How far back: 48h, 7d, 90d."
)
@report_output_option
def usage(key_ids: tuple[str, ...], since: timedelta, output: str) -> None:
    """Show how many tokens one or several keys got.

    Issued tokens and refusals are counted per hour (UTC). The last seconds are not in it yet.
    """
    from tokensvc.cli.usage import draw_usage  # noqa: PLC0415 - not needed for other commands

    seconds = whole_seconds(since)
    is_json = output == "json"
    if len(key_ids) == 1:
        shown = call("usage.show", {"key": key_ids[0], "since": seconds})
        click.echo(json.dumps(shown) if is_json else draw_usage(shown, find_room()))
        return
    items = list_all("usage.list", {"ids": ",".join(key_ids), "since": seconds})
    if is_json:
        click.echo(json.dumps(items))
    for used in [] if is_json else items:
        click.echo(f"{used['id']}\n{draw_usage(used, find_room())}\n")


@command.command("rotate")
@reference(KEY_OR_SELF, "key_id")
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

    The old key works until the grace period is over. A key has at most one successor. With `self`
    instead of an id, the key that is shown to the service is rotated; it needs no capability.

    \b
    tokensvc key rotate key_... --grace 7d
    """
    request = {"grace": whole_seconds(grace)}
    with create_secret_file(write_env) as file:
        if key_id == _SELF:
            made = call("keys.rotate-self", request)
        else:
            made = call("keys.rotate", {"id": key_id, **request})
        _print_new_key(made, output, file)


for _command in (
    key_list.list_,
    key_state.disable,
    key_state.enable,
    key_state.revoke,
    key_state.revoke_tokens,
    key_state.delete,
    key_batch.batch,
    key_leaks.leaks,
    key_scan.scan,
):
    command.add_command(_command)


def _print_new_key(made: Row, output: str, env_file: TextIO | None) -> None:
    """Print a new key with its text, and write it to `env_file` too if there is one."""
    text = made["key"]
    print_row({"id": made["id"], "key": text, **made}, output)
    if output == "text":
        print_message("the key is shown this once: store it now")
    if env_file is not None:
        env_file.write(f"TOKENSVC_API_KEY={text}\n")
