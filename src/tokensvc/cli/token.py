"""`tokensvc token`. Tokens and keys are never read from the command line (`cli.secret_io`)."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tokensvc.cli.denylist_watch import describe_ending
from tokensvc.cli.duration import Duration, whole_seconds
from tokensvc.cli.options import reason_option
from tokensvc.cli.output import output_option, print_message, print_row
from tokensvc.cli.run import call, given
from tokensvc.cli.secret_io import find_credential, read_api_key, read_token
from tokensvc.cli.target import find_target, is_http_allowed
from tokensvc.cli.wait import wait_for_followers, wait_option
from tokensvc.core.algorithm import ALGORITHMS
from tokensvc.core.errors import InvalidInputError, StartRefusedError, UnavailableError

if TYPE_CHECKING:
    from datetime import timedelta

    from tokensvc.cli.output import Row
    from tokensvc.core.claims import Claims
    from tokensvc.settings import Settings

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
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    help="The bare token (the default), or JSON with its scope and its life.",
)
def get(
    key_file: Path | None,
    issuer: str | None,
    scope: str | None,
    audience: str | None,
    expires_in: timedelta | None,
    output: str,
) -> None:
    """Exchange an API key for a token.

    The token is printed. The key comes from --key-file, else from the profile, TOKENSVC_API_KEY or
    TOKENSVC_API_KEY_FILE; else you are asked for it. Capabilities that begin with tokensvc: are
    given only if --scope names them.

    \b
    tokensvc token get --scope orders:read
    tokensvc token get --audience tokensvc --scope tokensvc:denylist
    """
    import asyncio  # noqa: PLC0415 - it takes long to import, and few commands need it

    from tokensvc.client._token_endpoint import request_token  # noqa: PLC0415 - brings aiohttp

    target = None if issuer else find_target()
    if target is not None and target.profile is not None and key_file is None:
        key = find_credential(target)
    else:
        key = read_api_key(key_file)
    form = {
        "scope": scope,
        "audience": audience,
        "expires_in": None if expires_in is None else str(whole_seconds(expires_in)),
    }
    given = {name: value for name, value in form.items() if value is not None}
    url = issuer or (target.url if target is not None else _load_settings().issuer_url)
    token = asyncio.run(request_token(url, key, given, allow_http=is_http_allowed()))
    click.echo(token if output == "text" else json.dumps(_build_answer(token)))


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
    import asyncio  # noqa: PLC0415 - as above

    from tokensvc.core.claims import build_payload  # noqa: PLC0415 - brings cryptography

    text = read_token(source)
    url, name = _find_issuer(issuer, audience)
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
    neither a database nor a service can be asked.
    """
    text = read_token(source)
    try:
        if find_target() is None:
            _check_database()
        status = call("tokens.inspect", {"token": text})
    except (StartRefusedError, UnavailableError) as error:
        from tokensvc.core.token import read_unverified  # noqa: PLC0415 - brings cryptography

        header, payload = read_unverified(text)
        print_message(
            f"not verified: anybody can write this, and nobody can be asked: {error.message}"
        )
        row = {"header": header, "payload": payload, "state": "unknown", "reason": None}
        print_row(row | {"revoked_by": None, "checks": []}, output)
        return
    print_message(_describe(status))
    print_row(status, output)


@command.command("revoke")
@_source
@reason_option
@wait_option
@output_option
def revoke(source: str, reason: str | None, output: str, wait: int | None) -> None:
    """Revoke one token.

    Every follower refuses it within a second.

    \b
    tokensvc token revoke < token
    """
    request = {"token": read_token(source), **given(reason=reason)}
    print_row(call("revocations.create", request), output)
    wait_for_followers(wait)


def _build_answer(token: str) -> Row:
    """Return a token as the token endpoint answers it (RFC 6749 section 5.1)."""
    from tokensvc.core.token import read_unverified  # noqa: PLC0415 - brings cryptography

    _, payload = read_unverified(token)
    life = {"expires_in": payload["exp"] - payload["iat"], "scope": payload.get("scope", "")}
    return {"access_token": token, "token_type": "Bearer", **life}


def _load_settings() -> Settings:
    from tokensvc.cli.folder import load_command_settings  # noqa: PLC0415 - others need none

    return load_command_settings()


def _find_issuer(issuer: str | None, audience: str | None) -> tuple[str, str]:
    """Return the issuer and the audience that a token is verified for."""
    target = None if issuer else find_target()
    url = issuer if target is None else target.url
    if url and audience:
        return url, audience
    settings = _load_settings()
    return url or settings.issuer_url, audience or settings.default_audience


def _check_database() -> None:
    """Raise UnavailableError if there is no database here. None is made for the question."""
    try:
        from tokensvc.cli.database import has_database  # noqa: PLC0415 - a desk far away has none
    except ModuleNotFoundError as error:
        raise UnavailableError(
            "the server extra is not installed, and no --url is given"
        ) from error
    if not has_database(_load_settings()):
        raise UnavailableError(
            "TOKENSVC_DATABASE_URL is not set, and there is no embedded Postgres here"
        )


def _describe(status: Row) -> str:
    revocation = status["revoked_by"]
    match status["state"]:
        case "live":
            return "live: we signed it, and it is neither expired nor revoked"
        case "expired":
            return "expired: we signed it, and its time is over"
        case "revoked" if revocation is not None:
            named = f"{revocation['kind']} {revocation['value']}"
            return (
                f"revoked by entry {revocation['cursor']}: {named} ({describe_ending(revocation)})"
            )
        case "revoked":
            return "revoked: its signing key has been revoked"
        case "foreign":
            return "not verified: anybody can write this, and the database has no such signing key"
        case _:
            return (
                "not verified: it names a signing key of ours, but is not as we sign tokens "
                f"({status['reason']})"
            )


async def _verify_online(text: str, issuer: str, audience: str) -> Claims:
    from tokensvc.verify import Verifier  # noqa: PLC0415 - imports aiohttp

    # Without a name: this command is no follower that operators want to see.
    # With `typ="JWT"` it takes tokens of both types.
    made = Verifier(
        issuer=issuer,
        audience=audience,
        algorithms=ALGORITHMS,
        typ="JWT",
        follower="",
        allow_http=is_http_allowed(),
    )
    async with made as verifier:
        return verifier.verify(text)


def _verify_offline(text: str, issuer: str, audience: str, jwks: Path) -> Claims:
    from tokensvc.core.jwks import parse_jwks  # noqa: PLC0415 - brings cryptography
    from tokensvc.core.token import parse_unverified  # noqa: PLC0415
    from tokensvc.core.verification import OWN_TOKEN, check_token  # noqa: PLC0415

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
        audiences=frozenset({audience}),
        now=time.time(),
        leeway=_LEEWAY_SECONDS,
        typ=OWN_TOKEN,
    )
