"""`tokensvc key disable|enable|revoke|...`: what changes whether a key may be used."""

from __future__ import annotations

import click

from tokensvc.cli.naming import KEY, reference
from tokensvc.cli.options import reason_option
from tokensvc.cli.output import confirm, output_option, print_row, yes_option
from tokensvc.cli.run import call, given
from tokensvc.cli.state_change import change_state
from tokensvc.cli.wait import wait_for_followers, wait_option


@click.command("disable")
@reference(KEY, "key_id")
@reason_option
@wait_option
@output_option
def disable(key_id: str, reason: str | None, output: str, wait: int | None) -> None:
    """Disable a key; `enable` takes it back.

    The key gets no tokens, and its live tokens are refused within a second.
    """
    change_state("keys.disable", {"id": key_id, **given(reason=reason)}, output, "disabled_at")
    wait_for_followers(wait)


@click.command("enable")
@reference(KEY, "key_id")
@output_option
def enable(key_id: str, output: str) -> None:
    """Enable a disabled key.

    It gets new tokens. Its tokens from before stay revoked.
    """
    change_state("keys.enable", {"id": key_id}, output, "disabled_at")


@click.command("revoke")
@reference(KEY, "key_id")
@click.option(
    "--keep-successors", is_flag=True, help="Spare the successors that the key made itself."
)
@reason_option
@yes_option
@wait_option
@output_option
def revoke(
    key_id: str,
    reason: str | None,
    output: str,
    wait: int | None,
    *,
    keep_successors: bool,
    yes: bool,
) -> None:
    """Revoke a key for good.

    It gets no more tokens, and all its live tokens are refused within a second.
    """
    confirm(f"Revoke {key_id}? This cannot be undone; `disable` can.", yes=yes)
    request = {"id": key_id, **given(reason=reason)}
    if keep_successors:
        request["keep_successors"] = True
    change_state("keys.revoke", request, output, "revoked_at")
    wait_for_followers(wait)


@click.command("revoke-tokens")
@reference(KEY, "key_id")
@reason_option
@yes_option
@wait_option
@output_option
def revoke_tokens(
    key_id: str, reason: str | None, output: str, wait: int | None, *, yes: bool
) -> None:
    """Revoke the tokens that a key has got so far.

    The key stays as it is, and can get new tokens.
    """
    confirm(f"Revoke all tokens that {key_id} has got so far?", yes=yes)
    print_row(call("keys.revoke-tokens", {"id": key_id, **given(reason=reason)}), output)
    wait_for_followers(wait)


@click.command("delete")
@reference(KEY, "key_id")
@yes_option
@wait_option
@output_option
def delete(key_id: str, output: str, wait: int | None, *, yes: bool) -> None:
    """Revoke a key and remove it from all lists.

    The audit trail stays.
    """
    confirm(f"Delete {key_id}? This cannot be undone.", yes=yes)
    print_row(call("keys.delete", {"id": key_id}), output)
    wait_for_followers(wait)
