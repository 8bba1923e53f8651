"""The options that say what a key may do, where and for what, and what is noted of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from tokensvc.cli.duration import Duration, whole_seconds
from tokensvc.cli.limits import build_limits, limit_options
from tokensvc.cli.options import Member, read_object
from tokensvc.cli.run import given

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_OPTIONS: Final = (
    click.option("--description", help="What the key is for, in more words."),
    click.option(
        "--capability",
        "capabilities",
        multiple=True,
        help="What its tokens may do; give the option once for each capability.",
    ),
    click.option("--all-capabilities", is_flag=True, help="Its tokens may do everything."),
    click.option(
        "--audience",
        "audiences",
        multiple=True,
        help="What its tokens may be for; everything if it is never given.",
    ),
    click.option(
        "--network",
        "networks",
        multiple=True,
        help="Where it may be used, like 192.0.2.0/24; everywhere if it is never given.",
    ),
    click.option(
        "--metadata",
        type=Member(),
        multiple=True,
        help="A note, like team=orders. Notes enter no token.",
    ),
    click.option("--metadata-file", help="All notes, as a JSON object in a file; - for stdin."),
    click.option(
        "--claim",
        "claims",
        type=Member(),
        multiple=True,
        help="A claim of its tokens, like region=eu. Only an admin may say it.",
    ),
    click.option("--claims-file", help="All such claims, as a JSON object in a file."),
    click.option(
        "--self-rotation/--no-self-rotation",
        default=None,
        help="Whether the key may make its own successor; it may by default.",
    ),
    click.option("--expires-in", type=Duration("never"), help="From now: 90d, 24h, or never."),
)

_FIELDS_OF_CHANGES: Final = (
    click.option("--name", help="A new name."),
    click.option("--any-audience", is_flag=True, help="Its tokens may be for everything."),
    click.option("--any-network", is_flag=True, help="It may be used everywhere."),
)


_FLAGS: Final[dict[str, tuple[str, list[str]]]] = {
    "all_capabilities": ("capabilities", ["*"]),
    "any_audience": ("audiences", []),
    "any_network": ("networks", []),
}
_NAMED: Final = {
    "capabilities": "--capability",
    "audiences": "--audience",
    "networks": "--network",
}


def field_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options for the fields of a key; see `build_fields`."""
    command = limit_options(command)
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def change_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options for changes of a key; see `build_fields`."""
    command = field_options(command)
    for option in reversed(_FIELDS_OF_CHANGES):
        command = option(command)
    return command


def build_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the options say of a key; what is not given is absent."""
    fields = given(
        name=options.get("name"),
        description=options["description"],
        self_rotation=options["self_rotation"],
    )
    for name in ("capabilities", "audiences", "networks"):
        if options[name]:
            fields[name] = list(options[name])
    # A flag is another word for a list, so only one of them can be meant.
    for flag, (name, value) in _FLAGS.items():
        if options.get(flag):
            if name in fields:
                raise click.UsageError(f"--{flag.replace('_', '-')} contradicts {_NAMED[name]}")
            fields[name] = value
    for name in ("metadata", "claims"):
        if options[f"{name}_file"] is not None:
            fields[name] = read_object(options[f"{name}_file"])
        if options[name]:
            fields[name] = fields.get(name, {}) | dict(options[name])
    if options["expires_in"] is not None:
        fields["expires_in"] = whole_seconds(options["expires_in"]) or None
    return fields | build_limits(options)
