"""`tokensvc key`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tokensvc.cli.files import reserved
from tokensvc.cli.limits import limit_changes, limit_options
from tokensvc.cli.output import (
    Duration,
    Row,
    confirm,
    output_option,
    print_row,
    print_rows,
    say,
    yes_option,
)
from tokensvc.cli.session import actor, operate
from tokensvc.cli.usage import build_usage, draw_usage
from tokensvc.cli.waiting import wait_for_followers, wait_option
from tokensvc.issuer.admin import api_keys
from tokensvc.issuer.exchange.usage import list_usage
from tokensvc.issuer.revoking import watermarks

if TYPE_CHECKING:
    from datetime import timedelta
    from typing import TextIO

    from tokensvc.core.api_key import ListedKey
    from tokensvc.issuer.admin.api_keys import NewKey

_capabilities = click.option(
    "--capability", "capabilities", multiple=True, help="What tokens may do; give it several times."
)
_write_env = click.option(
    "--write-env",
    type=click.Path(path_type=Path),
    help="Also write TOKENSVC_API_KEY=... to this new file, mode 0600.",
)


@click.group("key")
def command() -> None:
    """API keys. The key itself is shown once, when it is made; only its digest is stored."""


@command.command("create")
@click.option("--account", "account_id", required=True, help="Who owns it (acct_...).")
@click.option("--name", required=True, help="What it is for.")
@click.option("--description", default="", help="More words.")
@_capabilities
@click.option("--expires-in", type=Duration("never"), help="90d, 24h, never. Never is the default.")
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
    """Create an API key. A capability that is new is added, unless it looks like a slip of a known one.

    \b
    tokensvc key create --account acct_... --name ci --capability orders:read --capability orders:write
    tokensvc key create --account acct_... --name ci --capability orders:read --expires-in 90d -o json
    """
    wish = api_keys.KeyWish(
        name=name,
        description=description,
        capabilities=capabilities,
        life=expires_in or None,
        limits=limit_changes(tier, per_minute, per_day),
    )
    with reserved(write_env) as file:
        made = operate(
            lambda database, settings: api_keys.create_key(
                database, account_id, wish, prefix=settings.key_prefix, actor=actor()
            )
        )
        _print_new(made, output, file)


@command.command("list")
@click.option("--account", "account_id", help="Only keys of this account.")
@output_option
def list_(account_id: str | None, output: str) -> None:
    """List API keys."""
    found = operate(lambda database, _: api_keys.list_keys(database, account_id))
    rows = [_row(listed) for listed in found]
    columns = [
        "id",
        "name",
        "hint",
        "state",
        "capabilities",
        "expires_at",
        "last_used_at",
        "account",
    ]
    print_rows(rows, output, columns=columns, empty="no keys yet: tokensvc key create --help")


@command.command("show")
@click.argument("key_id")
@output_option
def show(key_id: str, output: str) -> None:
    """Show one API key: all but the key itself, which nobody has stored."""
    print_row(_row(operate(lambda database, _: api_keys.load_key(database, key_id))), output)


@command.command("update")
@click.argument("key_id")
@click.option("--name", help="A new name.")
@click.option("--description", help="A new description.")
@_capabilities
@click.option("--expires-in", type=Duration("never"), help="Counted from now: 90d, 24h; or never.")
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
    """Change a key. Capabilities are replaced as a whole. Live tokens keep what they have, unless --revoke-tokens."""
    changes = api_keys.KeyChanges(
        name=name,
        description=description,
        capabilities=capabilities or None,
        life=expires_in,
        limits=limit_changes(tier, per_minute, per_day),
    )
    changed = operate(
        lambda database, _: api_keys.update_key(
            database, key_id, changes, actor=actor(), revoke_tokens=revoke_tokens
        )
    )
    print_row(_row(changed), output)


@command.command("usage")
@click.argument("key_id")
@click.option(
    "--since", type=Duration(), default="48h", show_default=True, help="How far back: 48h, 7d, 90d."
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    help="Text on a terminal, JSON otherwise.",
)
def usage(key_id: str, since: timedelta, output: str | None) -> None:
    """Show how many tokens a key got, and what was refused, hour by hour (UTC). Some seconds late."""
    hours, last, now = operate(lambda database, _: list_usage(database, key_id, since=since))
    if (output or ("text" if sys.stdout.isatty() else "json")) == "json":
        click.echo(json.dumps(build_usage(key_id, hours, last)))
    else:
        click.echo(draw_usage(hours, last, since=now - since, until=now))


@command.command("disable")
@click.argument("key_id")
@wait_option
@output_option
def disable(key_id: str, output: str, wait: int | None) -> None:
    """Disable a key: no new tokens, live ones are refused within a second. Reversible: enable."""
    print_row(
        _row(operate(lambda database, _: watermarks.disable_key(database, key_id, actor=actor()))),
        output,
    )
    wait_for_followers(wait)


@command.command("enable")
@click.argument("key_id")
@output_option
def enable(key_id: str, output: str) -> None:
    """Enable a disabled key. Tokens from before stay dead; it gets new ones."""
    print_row(
        _row(operate(lambda database, _: api_keys.enable_key(database, key_id, actor=actor()))),
        output,
    )


@command.command("rotate")
@click.argument("key_id")
@click.option(
    "--grace",
    type=Duration("now"),
    default="24h",
    show_default=True,
    help="How long the old key works: now, 1h, 7d.",
)
@_write_env
@output_option
def rotate(key_id: str, grace: timedelta, write_env: Path | None, output: str) -> None:
    """Make a successor with the same rights; the old key works on for the grace period. Happens once per key.

    \b
    tokensvc key rotate key_... --grace 7d
    """
    with reserved(write_env) as file:
        made = operate(
            lambda database, settings: api_keys.rotate_key(
                database, key_id, grace=grace, prefix=settings.key_prefix, actor=actor()
            )
        )
        _print_new(made, output, file)


@command.command("revoke")
@click.argument("key_id")
@yes_option
@wait_option
@output_option
def revoke(key_id: str, output: str, wait: int | None, *, yes: bool) -> None:
    """Revoke a key for good: no token any more, and all its live tokens are refused within a second."""
    confirm(f"Revoke {key_id}? This cannot be undone; `disable` can.", yes=yes)
    print_row(
        _row(
            operate(
                lambda database, _: watermarks.revoke_key(database, key_id, actor=actor())
            ).listed
        ),
        output,
    )
    wait_for_followers(wait)


@command.command("delete")
@click.argument("key_id")
@yes_option
@wait_option
@output_option
def delete(key_id: str, output: str, wait: int | None, *, yes: bool) -> None:
    """Revoke a key and take it off the lists. The audit trail stays."""
    confirm(f"Delete {key_id}? This cannot be undone.", yes=yes)
    operate(lambda database, _: watermarks.delete_key(database, key_id, actor=actor()))
    print_row({"id": key_id, "state": "deleted"}, output)
    wait_for_followers(wait)


def _print_new(made: NewKey, output: str, env_file: TextIO | None) -> None:
    row = _row(made.listed)
    print_row({"id": row.pop("id"), "key": made.key.text, **row}, output)
    if output == "text":
        say("the key is shown this once: store it now")
    if env_file is not None:
        env_file.write(f"TOKENSVC_API_KEY={made.key.text}\n")


def _row(listed: ListedKey) -> Row:
    key = listed.record
    return {
        "id": key.id,
        "account": key.account_id,
        "name": key.name,
        "description": key.description,
        "hint": key.hint,
        "state": listed.state,
        "capabilities": list(key.capabilities),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "disabled_at": key.disabled_at,
        "revoked_at": key.revoked_at,
        "tier": key.limits.tier,
        "per_minute": key.minute_limit,
        "per_day": key.day_limit,
        "last_used_at": key.last_used_at,
        "last_used_network": key.last_used_network,
        "last_used_audience": key.last_used_audience,
        "predecessor": key.predecessor_id,
        "successor": key.successor_id,
    }
