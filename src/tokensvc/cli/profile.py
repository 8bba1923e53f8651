"""`tokensvc profile`."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path

import click

from tokensvc.cli.output import (
    confirm,
    list_output_option,
    output_option,
    print_message,
    print_pages,
    print_row,
    yes_option,
)
from tokensvc.cli.profiles import Profile, Profiles, load_profiles, save_profiles
from tokensvc.cli.secret_io import read_api_key
from tokensvc.cli.target import is_http_allowed
from tokensvc.core.errors import InvalidInputError
from tokensvc.core.url import check_secure_url


@click.group("profile")
def command() -> None:
    """Services that commands can be sent to, each with its API key."""


@command.command("add")
@click.argument("name")
@click.option("--url", required=True, help="The address of the service.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="The file that holds the API key; it is read at each command. - stores that on stdin.",
)
@click.option("--no-key", is_flag=True, help="Keep no key: it comes from the environment.")
@output_option
def add(name: str, url: str, key_file: Path | None, output: str, *, no_key: bool) -> None:
    """Add a profile, or replace it.

    Without --key-file the API key comes from TOKENSVC_API_KEY, else you are asked for it. It is
    stored in a file that only you can read, and it is never shown.

    \b
    tokensvc profile add work --url https://tokens.example
    tokensvc --profile work key list
    tokensvc profile use work
    """
    try:
        check_secure_url(url, allow_http=is_http_allowed())
    except ValueError as error:
        raise InvalidInputError(str(error)) from error
    if no_key:
        profile = Profile(url=url)
    elif key_file is not None and str(key_file) != "-":
        profile = Profile(url=url, key_file=str(key_file.absolute()))
    else:
        profile = Profile(url=url, key=read_api_key(key_file))
    profiles = load_profiles()
    by_name = {**profiles.by_name, name: profile}
    saved = dataclasses.replace(profiles, by_name=by_name)
    save_profiles(saved)
    print_row(_build_row(name, saved), output)


@command.command("list")
@list_output_option
def list_(output: str) -> None:
    """List the profiles. No key is shown."""
    profiles = load_profiles()
    print_pages(
        [[_build_row(name, profiles) for name in sorted(profiles.by_name)]],
        output,
        columns=["name", "url", "in_use", "key"],
        empty="no profiles yet: tokensvc profile add NAME --url URL",
    )


@command.command("remove")
@click.argument("name")
@yes_option
@output_option
def remove(name: str, output: str, *, yes: bool) -> None:
    """Remove a profile with its key."""
    profiles = load_profiles()
    profiles.find(name)
    confirm(f"Remove {name} and its key?", yes=yes)
    rest = {other: kept for other, kept in profiles.by_name.items() if other != name}
    current = None if profiles.current == name else profiles.current
    save_profiles(Profiles(by_name=rest, current=current))
    print_row({"name": name, "state": "removed"}, output)


@command.command("use")
@click.argument("name", required=False)
@click.option("--none", "is_none", is_flag=True, help="Use no profile: this machine's database.")
@output_option
def use(name: str | None, output: str, *, is_none: bool) -> None:
    """Send commands to the service of a profile from now on."""
    if (name is None) != is_none:
        raise click.UsageError("name a profile, or give --none")
    profiles = load_profiles()
    if name is not None:
        profiles.find(name)
    save_profiles(dataclasses.replace(profiles, current=name))
    if name is None:
        print_row({"in_use": None}, output)
        return
    print_row(_build_row(name, dataclasses.replace(profiles, current=name)), output)
    if os.environ.get("TOKENSVC_URL") and sys.stderr.isatty():
        print_message("TOKENSVC_URL goes before it as long as it is set")


def _build_row(name: str, profiles: Profiles) -> dict[str, object]:
    """Return a profile as it is printed. The key is not in it."""
    profile = profiles.by_name[name]
    key = "stored" if profile.key is not None else profile.key_file
    return {"name": name, "url": profile.url, "key": key, "in_use": name == profiles.current}
