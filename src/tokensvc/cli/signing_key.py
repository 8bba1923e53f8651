"""`tokensvc signing-key`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import click

from tokensvc.cli.files import read_file, reserved
from tokensvc.cli.output import confirm, output_option, print_row, print_rows, say, yes_option
from tokensvc.cli.session import actor, operate
from tokensvc.cli.waiting import wait_for_followers, wait_option
from tokensvc.core.jwks import ALGORITHMS
from tokensvc.core.keyring import DEFAULT_ALGORITHM
from tokensvc.issuer.signing.import_export import (
    export_private_key,
    import_signing_key,
    load_public_key,
)
from tokensvc.issuer.signing.master_key import load_master_key
from tokensvc.issuer.signing.emergency import revoke_signing_key_now
from tokensvc.issuer.signing.listing import list_signing_keys_with_phase
from tokensvc.issuer.signing.rotation import Urgency, rotate_once

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TextIO

    from tokensvc.core.sealing import MasterKey
    from tokensvc.issuer.database import Database
    from tokensvc.settings import Settings

T = TypeVar("T")


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
    columns = [
        "kid",
        "alg",
        "phase",
        "age_seconds",
        "active_at",
        "safe_to_activate_at",
        "safe_to_remove_at",
    ]
    print_rows(rows, output, columns=columns, empty="no signing keys yet: tokensvc init")


@command.command("rotate")
@click.option(
    "--now", "at_once", is_flag=True, help="At once, if every cache has the next key already."
)
@click.option(
    "--force",
    is_flag=True,
    help="With --now: also if verifiers will refuse good tokens for a while.",
)
@click.option(
    "--alg",
    type=click.Choice(ALGORITHMS),
    default=DEFAULT_ALGORITHM,
    show_default=True,
    help="Whose keyring.",
)
@output_option
def rotate(alg: str, output: str, *, at_once: bool, force: bool) -> None:
    """Let the standby take over as soon as every cache has it, and publish a new standby. The old key's tokens stay good."""
    if force and not at_once:
        raise click.UsageError("--force goes with --now: a rotation without --now is never unsafe")
    urgency = Urgency(asked=True, at_once=at_once, force=force)
    plan = _operate(
        lambda database, settings, master: rotate_once(
            database, settings, master, alg=alg, urgency=urgency, actor=actor()
        )
    )
    if plan is None:
        say("another process has rotated just now; see: tokensvc signing-key list")
        print_row({"kid": None, "active_at": None, "unsafe_for_seconds": None}, output)
        return
    unsafe = int(plan.unsafe_for.total_seconds())
    print_row({"kid": plan.kid, "active_at": plan.active_at, "unsafe_for_seconds": unsafe}, output)
    if plan.new_signer:
        say(f"the first {alg} keys were made: tokensvc signing-key list")
    if unsafe:
        say(
            f"forced: verifiers that have not fetched it may refuse good tokens for up to {unsafe} s"
        )
    elif output == "text" and not plan.new_standby:
        say("it is published already and signs from then on, when no cache can lack it any more")


@command.command("revoke")
@click.argument("kid")
@click.option("--reason", default="", help="For the audit trail.")
@yes_option
@wait_option
@output_option
def revoke(kid: str, reason: str, output: str, wait: int | None, *, yes: bool) -> None:
    """Withdraw trust in a signing key that may be in wrong hands. Its successor signs at once.

    Every token that it signed is refused by followers within a second; verifiers that only know the JWKS trust it until their cache ends.
    """
    confirm(f"Revoke {kid}? Every token that it signed dies, and this cannot be undone.", yes=yes)
    plan = _operate(
        lambda database, settings, master: revoke_signing_key_now(
            database, settings, master, kid, actor=actor(), reason=reason
        )
    )
    print_row(
        {"kid": kid, "state": "revoked", "successor": None if plan is None else plan.kid}, output
    )
    wait_for_followers(wait)


@command.command("export")
@click.argument("kid")
@click.option("--pem", is_flag=True, help="The public key as PEM, for what reads no JWKS.")
@click.option(
    "--private",
    "private_file",
    type=click.Path(path_type=Path),
    help="The private key, as PEM, to this new file (mode 0600).",
)
def export(kid: str, private_file: Path | None, *, pem: bool) -> None:
    """Print the public key as a JWK or PEM; the private one leaves only with --private, and that is audited."""
    if private_file is None:
        jwk, public_pem = operate(lambda database, _: load_public_key(database, kid))
        click.echo(public_pem.decode("ascii").strip() if pem else json.dumps(jwk))
        return
    with reserved(private_file) as file:
        exported = _operate(
            lambda database, _, master: export_private_key(database, master, kid, actor=actor())
        )
        cast("TextIO", file).write(exported.decode("ascii"))
    say(f"the private key is in {private_file}: whoever reads it can sign tokens")


@command.command("import")
@click.argument("source", type=click.Path(path_type=Path), default="-")
@output_option
def import_(source: Path, output: str) -> None:
    """Take in a private key, PEM or JWK, from a file or stdin: RSA (2048 bits or more), P-256 or Ed25519.

    It becomes the standby: published now, it signs after the next rotation.
    """
    text = read_file(source)
    imported = _operate(
        lambda database, settings, master: import_signing_key(
            database, settings, master, text, actor=actor()
        )
    )
    print_row({"kid": imported.kid, "alg": imported.alg, "phase": "pending"}, output)
    if output == "text":
        say(f"next: tokensvc signing-key rotate --alg {imported.alg}")


def _operate(act: Callable[[Database, Settings, MasterKey], Awaitable[T]]) -> T:
    """As `operate`, with the master key."""

    async def with_key(database: Database, settings: Settings) -> T:
        return await act(database, settings, await load_master_key(database, settings))

    return operate(with_key)
