"""`tokensvc signing-key`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import click

from tokensvc.cli.database import actor, run_use_case
from tokensvc.cli.duration import whole_seconds
from tokensvc.cli.output import (
    confirm,
    output_option,
    print_message,
    print_row,
    print_rows,
    yes_option,
)
from tokensvc.cli.rows import build_signing_key_row
from tokensvc.cli.secret_io import create_secret_file, read_bytes
from tokensvc.cli.wait import wait_for_followers, wait_option
from tokensvc.core.algorithm import ALGORITHMS, DEFAULT_ALGORITHM
from tokensvc.issuer.signing.emergency import revoke_signing_key_now
from tokensvc.issuer.signing.import_export import (
    export_private_key,
    import_signing_key,
    load_public_key,
)
from tokensvc.issuer.signing.listing import list_signing_keys_with_phase
from tokensvc.issuer.signing.master_key import load_master_key
from tokensvc.issuer.signing.rotation import Urgency, rotate_once

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TextIO

    from tokensvc.core.rotation import RotationPlan
    from tokensvc.core.sealing import MasterKey
    from tokensvc.issuer.database import Database
    from tokensvc.settings import Settings

T = TypeVar("T")


@click.group("signing-key")
def command() -> None:
    """The keys that sign tokens.

    They rotate by themselves. One standby is always published ahead.
    """


@command.command("list")
@output_option
def list_(output: str) -> None:
    """List all signing keys.

    The list shows the phase of each key, and when it may begin to sign and when it may be removed.
    """
    found = run_use_case(list_signing_keys_with_phase, changes=False)
    shown = "kid alg phase age_seconds active_at safe_to_activate_at safe_to_remove_at"
    print_rows(
        [build_signing_key_row(listed) for listed in found],
        output,
        columns=shown.split(),
        empty="no signing keys yet: tokensvc init",
    )


@command.command("rotate")
@click.option(
    "--now", "at_once", is_flag=True, help="At once, if every cache already has the next key."
)
@click.option(
    "--force",
    is_flag=True,
    help="With --now: even if verifiers will refuse good tokens for a while.",
)
@click.option(
    "--alg",
    type=click.Choice(ALGORITHMS),
    default=DEFAULT_ALGORITHM,
    show_default=True,
    help="The algorithm whose key is replaced.",
)
@output_option
def rotate(alg: str, output: str, *, at_once: bool, force: bool) -> None:
    """Let the next key take over.

    The standby signs as soon as every cache has it, and a new standby is published. The tokens of
    the old key stay good.
    """
    if force and not at_once:
        raise click.UsageError("--force goes with --now: a rotation without --now is never unsafe")
    urgency = Urgency(asked=True, at_once=at_once, force=force)
    plan = _run_with_master_key(
        lambda database, settings, master: rotate_once(
            database, settings, master, alg=alg, urgency=urgency, actor=actor()
        )
    )
    if plan is None:
        print_message("another process has rotated just now; see: tokensvc signing-key list")
        print_row({"kid": None, "active_at": None, "unsafe_for_seconds": None}, output)
    else:
        _print_plan(plan, alg, output)


@command.command("revoke")
@click.argument("kid")
@click.option("--reason", default="", help="A reason for the audit trail.")
@yes_option
@wait_option
@output_option
def revoke(kid: str, reason: str, output: str, wait: int | None, *, yes: bool) -> None:
    """Revoke a signing key that may be in wrong hands.

    Its successor signs at once. Followers refuse every token that it signed within a second.
    Verifiers that know only the JWKS trust it until their cache ends.
    """
    confirm(
        f"Revoke {kid}? Every token that it signed will be refused, and this cannot be undone.",
        yes=yes,
    )
    plan = _run_with_master_key(
        lambda database, settings, master: revoke_signing_key_now(
            database, settings, master, kid, actor=actor(), reason=reason
        ),
        tolerate_changed=True,
    )
    successor = None if plan is None else plan.kid
    print_row({"kid": kid, "state": "revoked", "successor": successor}, output)
    wait_for_followers(wait)


@command.command("export")
@click.argument("kid")
@click.option("--pem", is_flag=True, help="The public key as PEM, for programs that read no JWKS.")
@click.option(
    "--private",
    "private_file",
    type=click.Path(path_type=Path),
    help="Write the private key, as PEM, to this new file (mode 0600).",
)
def export(kid: str, private_file: Path | None, *, pem: bool) -> None:
    """Print the public key as a JWK or as PEM.

    The private key leaves the database only with --private, and the audit trail shows that.
    """
    if private_file is None:
        jwk, public_pem = run_use_case(
            lambda database, _: load_public_key(database, kid), changes=False
        )
        click.echo(public_pem.decode("ascii").strip() if pem else json.dumps(jwk))
        return
    with create_secret_file(private_file) as file:
        exported = _run_with_master_key(
            lambda database, _, master: export_private_key(database, master, kid, actor=actor())
        )
        cast("TextIO", file).write(exported.decode("ascii"))
    print_message(f"the private key is in {private_file}: who can read it can sign tokens")


@command.command("import")
@click.argument("source", type=click.Path(path_type=Path), default="-")
@output_option
def import_(source: Path, output: str) -> None:
    """Import a private key from a file or stdin.

    It is PEM or a JWK: RSA (2048 bits or more), P-256 or Ed25519. It becomes the standby: it is
    published now, and it signs after the next rotation.
    """
    text = read_bytes(source)
    imported = _run_with_master_key(
        lambda database, settings, master: import_signing_key(
            database, settings, master, text, actor=actor()
        )
    )
    print_row({"kid": imported.kid, "alg": imported.alg, "phase": "pending"}, output)
    if output == "text":
        print_message(f"next: tokensvc signing-key rotate --alg {imported.alg}")


def _print_plan(plan: RotationPlan, alg: str, output: str) -> None:
    """Print the plan of a rotation that was carried out, and say what follows from it."""
    unsafe = whole_seconds(plan.unsafe_for)
    print_row({"kid": plan.kid, "active_at": plan.active_at, "unsafe_for_seconds": unsafe}, output)
    if plan.new_signer:
        print_message(f"the first {alg} keys were made: tokensvc signing-key list")
    if unsafe:
        print_message(
            "forced: verifiers that have not fetched it may refuse good tokens "
            f"for up to {unsafe} s"
        )
    elif output == "text" and not plan.new_standby:
        print_message(
            "it is published already and signs from then on, when every cache must have it"
        )


def _run_with_master_key(
    use_case: Callable[[Database, Settings, MasterKey], Awaitable[T]],
    *,
    tolerate_changed: bool = False,
) -> T:
    """As `run_use_case`, with the master key."""

    async def with_key(database: Database, settings: Settings) -> T:
        master_key = await load_master_key(database, settings, tolerate_changed=tolerate_changed)
        return await use_case(database, settings, master_key)

    return run_use_case(with_key)
