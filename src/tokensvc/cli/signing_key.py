"""`tokensvc signing-key`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from tokensvc.cli.naming import SIGNING_KEY, reference
from tokensvc.cli.options import reason_option
from tokensvc.cli.output import (
    confirm,
    list_output_option,
    output_option,
    print_message,
    print_pages,
    print_row,
    yes_option,
)
from tokensvc.cli.run import call, call_pages, given, limit_option
from tokensvc.cli.secret_io import create_secret_file, read_text
from tokensvc.cli.wait import wait_for_followers, wait_option
from tokensvc.core.algorithm import ALGORITHMS, DEFAULT_ALGORITHM

if TYPE_CHECKING:
    from typing import TextIO

    from tokensvc.cli.output import Row


@click.group("signing-key")
def command() -> None:
    """The keys that sign tokens.

    They rotate by themselves. One standby is always published ahead.
    """


@command.command("list")
@limit_option()
@list_output_option
def list_(output: str) -> None:
    """List all signing keys.

    The list shows the phase of each key, and when it may begin to sign and when it may be removed.
    """
    shown = "kid alg phase active_at safe_to_activate_at safe_to_remove_at age_seconds"
    print_pages(
        call_pages("signing-keys.list", {}),
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
@yes_option
@output_option
def rotate(alg: str, output: str, *, at_once: bool, force: bool, yes: bool) -> None:
    """Let the next key take over.

    The standby signs as soon as every cache has it, and a new standby is published. The tokens of
    the old key stay good.
    """
    if force and not at_once:
        raise click.UsageError("--force goes with --now: a rotation without --now is never unsafe")
    if force:
        confirm(
            f"Let the next {alg} key sign at once? Verifiers that do not have it yet may refuse "
            "good tokens for a while.",
            yes=yes,
        )
    plan = call("signing-keys.rotate", {"alg": alg, "now": at_once, "force": force})
    if plan["kid"] is None:
        print_message("another process has rotated just now; see: tokensvc signing-key list")
    print_row(plan, output)
    _explain(plan, alg, output)


@command.command("revoke")
@reference(SIGNING_KEY, "kid")
@reason_option
@yes_option
@wait_option
@output_option
def revoke(kid: str, reason: str | None, output: str, wait: int | None, *, yes: bool) -> None:
    """Revoke a signing key that may be in wrong hands.

    Its successor signs at once. Followers refuse every token that it signed within a second.
    Verifiers that know only the JWKS trust it until their cache ends.
    """
    confirm(
        f"Revoke {kid}? Every token that it signed will be refused, and this cannot be undone.",
        yes=yes,
    )
    print_row(call("signing-keys.revoke", {"kid": kid, **given(reason=reason)}), output)
    wait_for_followers(wait)


@command.command("export")
@reference(SIGNING_KEY, "kid")
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
        public = call("signing-keys.show", {"kid": kid})
        click.echo(public["pem"].strip() if pem else json.dumps(public["jwk"]))
        return
    with create_secret_file(private_file) as file:
        exported = call("signing-keys.export", {"kid": kid})
        cast("TextIO", file).write(exported["pem"])
    print_message(f"the private key is in {private_file}: whoever can read it can sign tokens")


@command.command("import")
@click.argument("source", type=click.Path(path_type=Path), default="-")
@output_option
def import_(source: Path, output: str) -> None:
    """Import a private key from a file or stdin.

    It is PEM or a JWK: RSA (2048 bits or more), P-256 or Ed25519. It becomes the standby: it is
    published now, and it signs after the next rotation.
    """
    imported = call("signing-keys.import", {"private_key": read_text(str(source))})
    print_row(imported, output)
    if output == "text":
        print_message(f"next: tokensvc signing-key rotate --alg {imported['alg']}")


def _explain(plan: Row, alg: str, output: str) -> None:
    """Say what follows from a rotation that was carried out."""
    unsafe = plan["unsafe_for_seconds"]
    if plan["new_signer"]:
        print_message(f"the first {alg} keys were made: tokensvc signing-key list")
    if unsafe:
        print_message(
            "forced: the slowest verifier may keep a JWKS without it, and refuse good tokens, "
            f"for up to {unsafe} s"
        )
    elif output == "text" and plan["kid"] is not None and not plan["new_standby"]:
        print_message(
            "it is published already and signs from then on, when every cache must have it"
        )
