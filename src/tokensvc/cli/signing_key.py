"""`tokensvc signing-key`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tokensvc.cli.output import output_option, print_row, print_rows, say
from tokensvc.cli.session import actor, operate
from tokensvc.issuer.rotation import list_signing_keys_with_phase, rotate_once
from tokensvc.issuer.start import load_master_key

if TYPE_CHECKING:
    from tokensvc.core.keyring import RotationPlan
    from tokensvc.issuer.database import Database
    from tokensvc.settings import Settings


@click.group("signing-key")
def command() -> None:
    """The keys that sign tokens. They rotate by themselves; one standby is always published ahead."""


@command.command("list")
@output_option
def list_(output: str) -> None:
    """List all signing keys with their phase, and when each may begin and go."""
    found = operate(list_signing_keys_with_phase)
    rows = [
        {
            "kid": listed.record.kid,
            "alg": listed.record.alg,
            "phase": listed.phase,
            "age_seconds": listed.age_seconds,
            "created_at": listed.record.created_at,
            "active_at": listed.record.active_at,
            "revoked_at": listed.record.revoked_at,
            "safe_to_activate_at": listed.safe_to_activate_at,
            "safe_to_remove_at": listed.safe_to_remove_at,
        }
        for listed in found
    ]
    columns = ["kid", "alg", "phase", "age_seconds", "active_at", "safe_to_activate_at", "safe_to_remove_at"]
    print_rows(rows, output, columns=columns, empty="no signing keys yet: tokensvc init")


@command.command("rotate")
@output_option
def rotate(output: str) -> None:
    """Let the standby take over as soon as every cache has it, and publish a new standby. The old key's tokens stay good."""

    async def act(database: Database, settings: Settings) -> RotationPlan | None:
        master_key = await load_master_key(database, settings)
        return await rotate_once(database, settings, master_key, actor=actor(), asked=True)

    plan = operate(act)
    if plan is None:
        say("another process has rotated just now; see: tokensvc signing-key list")
        print_row({"kid": None, "active_at": None}, output)
        return
    print_row({"kid": plan.kid, "active_at": plan.active_at}, output)
    if output == "text" and not plan.new_standby:
        say("it is published already and signs from then on, when no cache can lack it any more")
