"""`tokensvc token`. Tokens and keys are read from stdin, a file or the environment, never from the command line."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tokensvc.cli.denylist import build_row, describe_ending
from tokensvc.cli.output import Duration, output_option, print_row, say, seconds
from tokensvc.cli.session import actor, has_database, operate
from tokensvc.cli.waiting import wait_for_followers, wait_option
from tokensvc.core.claims import build_payload
from tokensvc.core.errors import (
    InvalidInputError,
    NotFoundError,
    StartRefusedError,
    UnavailableError,
)
from tokensvc.core.jwks import ALGORITHMS, parse_jwks
from tokensvc.core.token import parse_unverified, read_unverified
from tokensvc.core.verification import check_token
from tokensvc.settings import load_settings

if TYPE_CHECKING:
    from datetime import timedelta

    from tokensvc.core.claims import Claims
    from tokensvc.issuer.revoking.introspection import TokenStatus

_source = click.argument("source", default="-")
_LEEWAY = 30.0
_LONGEST_PATH = 255


@click.group("token")
def command() -> None:
    """Get, verify, inspect and revoke tokens."""


@command.command("get")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="File that holds the API key; - reads it from stdin.",
)
@click.option("--issuer", help="Where the service is; the one of the settings by default.")
@click.option(
    "--scope", help="Some of the key's capabilities, separated by spaces; all by default."
)
@click.option("--audience", help="Whom the token is for.")
@click.option("--expires-in", type=Duration(), help="A shorter life: 60s, 5m.")
def get(
    key_file: Path | None,
    issuer: str | None,
    scope: str | None,
    audience: str | None,
    expires_in: timedelta | None,
) -> None:
    """Exchange an API key for a token and print the token.

    The key comes from --key-file, or TOKENSVC_API_KEY, or is asked for.
    """
    from tokensvc.client._token_endpoint import request_token  # noqa: PLC0415 - brings aiohttp

    key = _read_key(key_file)
    form = {
        "scope": scope,
        "audience": audience,
        "expires_in": None if expires_in is None else str(seconds(expires_in)),
    }
    url = issuer or load_settings().issuer_url
    click.echo(
        asyncio.run(
            request_token(
                url, key, {name: value for name, value in form.items() if value is not None}
            )
        )
    )


@command.command("verify")
@_source
@click.option("--audience", help="Whom the token must be for; the default audience if not given.")
@click.option("--issuer", help="Who must have issued it; the one of the settings if not given.")
@click.option(
    "--jwks",
    type=click.Path(path_type=Path),
    help="Verify offline with this saved JWKS; the denylist is not asked.",
)
@output_option
def verify(
    source: str, audience: str | None, issuer: str | None, jwks: Path | None, output: str
) -> None:
    """Verify a token as a relying party does: with the issuer's JWKS and denylist, or offline with a saved JWKS.

    \b
    tokensvc token verify --audience api < token
    tokensvc token verify --audience api --jwks jwks.json < token
    """
    settings = load_settings()
    text, url, name = (
        _read_token(source),
        issuer or settings.issuer_url,
        audience or settings.default_audience,
    )
    if jwks is None:
        claims = asyncio.run(_verify_online(text, url, name))
    else:
        claims = _verify_offline(text, url, name, jwks)
        say("verified offline: whether it has been revoked was not asked")
    print_row(build_payload(claims), output)


@command.command("inspect")
@_source
@output_option
def inspect(source: str, output: str) -> None:
    """Show what a token says, whoever wrote it, and what the database has to say about it.

    Its state: live, expired, revoked, foreign (the database has no such signing key), invalid (not as we sign), or unknown without a
    database.
    """
    text = _read_token(source)
    header, payload = read_unverified(text)
    row = {"header": header, "payload": payload}
    try:
        status = _inspect(text)
    except (StartRefusedError, UnavailableError) as error:
        say(
            f"not verified: anybody can write this, and there is no database to ask: {error.message}"
        )
        print_row(row | {"state": "unknown", "revoked_by": None}, output)
        return
    say(_describe(status))
    revoked_by = None if status.revoked_by is None else build_row(status.revoked_by)
    print_row(row | {"state": status.state, "revoked_by": revoked_by}, output)


@command.command("revoke")
@_source
@wait_option
@output_option
def revoke(source: str, output: str, wait: int | None) -> None:
    """Revoke one token: every follower refuses it within a second.

    \b
    tokensvc token revoke < token
    """
    from tokensvc.issuer.revoking.credentials import revoke_own_token  # noqa: PLC0415 - brings asyncpg

    text = _read_token(source)
    jti = operate(
        lambda database, settings: revoke_own_token(database, settings, text, actor=actor())
    )
    if jti is None:
        raise NotFoundError("this is no live token of ours: nothing to revoke")
    print_row({"jti": jti, "state": "revoked"}, output)
    wait_for_followers(wait)


def _inspect(text: str) -> TokenStatus:
    from tokensvc.issuer.revoking.introspection import describe_token  # noqa: PLC0415 - brings asyncpg

    if not has_database(load_settings()):
        raise UnavailableError("TOKENSVC_DATABASE_URL is not set, and none has been made here")
    return operate(lambda database, settings: describe_token(database, settings, text))


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
            return f"not verified: it names a signing key of ours and is not as we sign ({status.reason})"


async def _verify_online(text: str, issuer: str, audience: str) -> Claims:
    from tokensvc.verify import Verifier  # noqa: PLC0415 - brings aiohttp

    async with Verifier(issuer=issuer, audience=audience, algorithms=ALGORITHMS) as verifier:
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
        leeway=_LEEWAY,
    )


def _read_token(source: str) -> str:
    if source != "-" and (len(source) > _LONGEST_PATH or not Path(source).is_file()):
        raise InvalidInputError(
            "name a file that holds the token, or - for stdin; a token on the command line is seen by everybody on this machine"
        )
    return _read_text(source)


def _read_key(path: Path | None) -> str:
    if path is not None:
        return _read_text(str(path))
    from_environment = os.environ.get("TOKENSVC_API_KEY")
    if from_environment:
        return from_environment
    text: str = click.prompt("API key", hide_input=True, err=True)
    return text.strip()


def _read_text(source: str) -> str:
    try:
        return (
            sys.stdin.read().strip() if source == "-" else Path(source).read_text("utf-8").strip()
        )
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{source} cannot be read as text") from error
