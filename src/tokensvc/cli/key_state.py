"""`tokensvc key disable|enable|revoke|delete`: what changes whether a key may be used."""

from __future__ import annotations

import click

from tokensvc.cli.database import actor, run_use_case
from tokensvc.cli.output import confirm, output_option, print_row, yes_option
from tokensvc.cli.rows import build_key_row
from tokensvc.cli.wait import wait_for_followers, wait_option
from tokensvc.issuer.admin import api_keys
from tokensvc.issuer.revoking import endings


@click.command("disable")
@click.argument("key_id")
@wait_option
@output_option
def disable(key_id: str, output: str, wait: int | None) -> None:
    """Disable a key; `enable` takes it back.

    The key gets no tokens, and its live tokens are refused within a second.
    """
    listed = run_use_case(lambda database, _: endings.disable_key(database, key_id, actor=actor()))
    print_row(build_key_row(listed), output)
    wait_for_followers(wait)


@click.command("enable")
@click.argument("key_id")
@output_option
def enable(key_id: str, output: str) -> None:
    """Enable a disabled key.

    It gets new tokens. Its tokens from before stay revoked.
    """
    listed = run_use_case(lambda database, _: api_keys.enable_key(database, key_id, actor=actor()))
    print_row(build_key_row(listed), output)


@click.command("revoke")
@click.argument("key_id")
@yes_option
@wait_option
@output_option
def revoke(key_id: str, output: str, wait: int | None, *, yes: bool) -> None:
    """Revoke a key for good.

    It gets no more tokens, and all its live tokens are refused within a second.
    """
    confirm(f"Revoke {key_id}? This cannot be undone; `disable` can.", yes=yes)
    revoked = run_use_case(lambda database, _: endings.revoke_key(database, key_id, actor=actor()))
    print_row(build_key_row(revoked.listed), output)
    wait_for_followers(wait)


@click.command("delete")
@click.argument("key_id")
@yes_option
@wait_option
@output_option
def delete(key_id: str, output: str, wait: int | None, *, yes: bool) -> None:
    """Revoke a key and remove it from all lists.

    The audit trail stays.
    """
    confirm(f"Delete {key_id}? This cannot be undone.", yes=yes)
    run_use_case(lambda database, _: endings.delete_key(database, key_id, actor=actor()))
    print_row({"id": key_id, "state": "deleted"}, output)
    wait_for_followers(wait)
