"""`tokensvc token`. Tokens and keys are never read from the command line (`cli.secret_io`)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tokensvc.cli.database import actor, has_database, run_use_case
from tokensvc.cli.duration import Duration, whole_seconds
from tokensvc.cli.output import output_option, print_message, print_row
from tokensvc.cli.rows import build_revocation_row, describe_ending
from tokensvc.cli.secret_io import read_api_key, read_token
from tokensvc.cli.wait import wait_for_followers, wait_option
from tokensvc.core.algorithm import ALGORITHMS
from tokensvc.core.claims import build_payload
from tokensvc.core.errors import (
    InvalidInputError,
    NotFoundError,
    StartRefusedError,
    UnavailableError,
)
from tokensvc.core.jwks import parse_jwks
from tokensvc.core.token import parse_unverified, read_unverified
from tokensvc.core.verification import check_token
from tokensvc.settings import load_settings

if TYPE_CHECKING:
    from datetime import timedelta

    from tokensvc.core.claims import Claims
    from tokensvc.issuer.revoking.introspection import TokenStatus

_LEEWAY_SECONDS: Final = 30.0

_source = click.argument("source", default="-")


@click.group("token")
def command() -> None:
    """Get, verify, inspect and revoke tokens."""


@command.command("get")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="The file that holds the API key; - reads it from stdin.",
)
@click.option("--issuer", help="The address of the service; by default that of the settings.")
@click.option(
    "--scope",
    help="Some of the key's capabilities, separated by spaces; else all but tokensvc:...",
)
@click.option("--audience", help="The service that the token is for; tokensvc: this one.")
@click.option("--expires-in", type=Duration(), help="A shorter life: 60s, 5m.")
def get(
    key_file: Path | None,
    issuer: str | None,
    scope: str | None,
    audience: str | None,
    expires_in: timedelta | None,
) -> None:
    """Exchange an API key for a token.

    The token is printed. The key comes from --key-file, else from TOKENSVC_API_KEY; else you are
    asked for it. Capabilities that begin with tokensvc: are given only if --scope names them.

    \b
    tokensvc token get --scope orders:read
    tokensvc token get --audience tokensvc --scope tokensvc:denylist
    """
    from tokensvc.client._token_endpoint import request_token  # noqa: PLC0415 - brings aiohttp

    key = read_api_key(key_file)
    form = {
        "scope": scope,
        "audience": audience,
        "expires_in": None if expires_in is None else str(whole_seconds(expires_in)),
    }
    given = {name: value for name, value in form.items() if value is not None}
    url = issuer or load_settings().issuer_url
    click.echo(asyncio.run(request_token(url, key, given)))


@command.command("verify")
@_source
@click.option("--audience", help="The audience that it must be for; else the default audience.")
@click.option("--issuer", help="The issuer that it must come from; else that of the settings.")
@click.option(
    "--jwks",
    type=click.Path(path_type=Path),
    help="Verify offline with this saved JWKS. The denylist is not asked.",
)
@output_option
def verify(
    source: str, audience: str | None, issuer: str | None, jwks: Path | None, output: str
) -> None:
    """Verify a token as a relying party does.

    The JWKS and the denylist come from the issuer; with --jwks nobody is asked.

    \b
    tokensvc token verify --audience api < token
    tokensvc token verify --audience api --jwks jwks.json < token
    """
    settings = load_settings()
    text = read_token(source)
    url, name = issuer or settings.issuer_url, audience or settings.default_audience
    if jwks is None:
        claims = asyncio.run(_verify_online(text, url, name))
    else:
        claims = _verify_offline(text, url, name, jwks)
        print_message("verified offline: the denylist was not asked whether it is revoked")
    print_row(build_payload(claims), output)


@command.command("inspect")
@_source
@output_option
def inspect(source: str, output: str) -> None:
    """Show what a token says, and its state.

    Anybody can write a token. Its state is what the database knows of it: live, expired, revoked,
    foreign (the database has no such signing key), invalid (it is not as we sign), or unknown if
    there is no database.
    """
    text = read_token(source)
    header, payload = read_unverified(text)
    row = {"header": header, "payload": payload}
    try:
        status = _find_status(text)
    except (StartRefusedError, UnavailableError) as error:
        print_message(
            "not verified: anybody can write this, and there is no database to ask: "
            f"{error.message}"
        )
        print_row(row | {"state": "unknown", "revoked_by": None}, output)
        return
    print_message(_describe(status))
    record = status.revoked_by
    revoked_by = None if record is None else build_revocation_row(record)
    print_row(row | {"state": status.state, "revoked_by": revoked_by}, output)


@command.command("revoke")
@_source
@wait_option
@output_option
def revoke(source: str, output: str, wait: int | None) -> None:
    """Revoke one token.

    Every follower refuses it within a second.

    \b
    tokensvc token revoke < token
    """
    from tokensvc.issuer.revoking.credentials import revoke_own_token  # noqa: PLC0415 - asyncpg

    text = read_token(source)
    revoked = run_use_case(
        lambda database, settings: revoke_own_token(database, settings, text, actor=actor())
    )
    if revoked is None:
        raise NotFoundError("this is no live token of ours, so there is nothing to revoke")
    print_row({"jti": revoked.revocation.value, "state": "revoked"}, output)
    wait_for_followers(wait)


def _find_status(text: str) -> TokenStatus:
    """Return what the database knows of a token. Raises UnavailableError if there is none."""
    from tokensvc.issuer.revoking.introspection import describe_token  # noqa: PLC0415 - asyncpg

    if not has_database(load_settings()):
        raise UnavailableError(
            "TOKENSVC_DATABASE_URL is not set, and there is no embedded Postgres here"
        )
    return run_use_case(
        lambda database, settings: describe_token(database, settings, text), changes=False
    )


def _describe(status: TokenStatus) -> str:
    match status.state:
        case "live":
            return "live: we signed it, and it is neither expired nor revoked"
        case "expired":
            return "expired: we signed it, and its time is over"
        case "revoked" if status.revoked_by is not None:
            record = status.revoked_by
            named = f"{record.revocation.kind} {record.revocation.value}"
            return f"revoked by entry {record.position}: {named} ({describe_ending(record)})"
        case "revoked":
            return "revoked: its signing key has been revoked"
        case "foreign":
            return "not verified: anybody can write this, and the database has no such signing key"
        case _:
            return (
                "not verified: it names a signing key of ours and is not as we sign "
                f"({status.reason})"
            )


async def _verify_online(text: str, issuer: str, audience: str) -> Claims:
    from tokensvc.verify import Verifier  # noqa: PLC0415 - imports aiohttp

    # Without a name: this command is no follower that operators want to see.
    made = Verifier(issuer=issuer, audience=audience, algorithms=ALGORITHMS, follower="")
    async with made as verifier:
        return verifier.verify(text)


def _verify_offline(text: str, issuer: str, audience: str, jwks: Path) -> Claims:
    unverified_token = parse_unverified(text)
    try:
        keys = parse_jwks(jwks.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{jwks} cannot be read as a JWKS: {error}") from error
    return check_token(
        unverified_token,
        key=keys.get(unverified_token.kid),
        algorithms=ALGORITHMS,
        issuer=issuer,
        audience=audience,
        now=time.time(),
        leeway=_LEEWAY_SECONDS,
    )
