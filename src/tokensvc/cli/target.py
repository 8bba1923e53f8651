"""Where the commands go: to a service, over HTTP, or to the database of this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from tokensvc.core.errors import InvalidInputError, StartRefusedError

if TYPE_CHECKING:
    from tokensvc.cli.profiles import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the options before the command say."""

    url: str | None = None
    profile: str | None = None
    host: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A service. `profile`: where its key is, if a profile named it. `named_by`: who named it."""

    url: str
    profile: Profile | None
    named_by: str


def find_target() -> Target | None:
    """Return the service that commands go to, None for the database of this machine.

    The first of these decides: --host, --url, --profile, TOKENSVC_URL, TOKENSVC_PROFILE, and the
    profile in use. Raises UsageError, NotFoundError, InvalidInputError.
    """
    choice = click.get_current_context().find_object(Choice) or Choice()
    if [choice.url is None, choice.profile is None, not choice.host].count(False) > 1:
        raise click.UsageError("name one of --url, --profile and --host")
    if choice.host:
        return None
    if choice.url is not None:
        return _build_target(choice.url, "--url")
    if choice.profile is not None:
        return _find_profile(choice.profile, "--profile")
    url, name = os.environ.get("TOKENSVC_URL"), os.environ.get("TOKENSVC_PROFILE")
    if url and name:
        raise click.UsageError("TOKENSVC_URL and TOKENSVC_PROFILE contradict each other")
    if url:
        return _build_target(url, "TOKENSVC_URL")
    return _find_profile(name, "TOKENSVC_PROFILE" if name else "`tokensvc profile use`")


def is_http_allowed() -> bool:
    """Tell whether services without TLS are taken, in a network of containers for a trial."""
    return os.environ.get("TOKENSVC_ALLOW_HTTP", "").lower() in {"1", "true", "yes", "on"}


def check_is_host() -> None:
    """Raise StartRefusedError if a service is named: the command works on this machine alone."""
    target = find_target()
    if target is not None:
        raise StartRefusedError(
            f"this command works on the database of this machine, but {target.named_by} names "
            f"{target.url}; to mean this machine: tokensvc --host ..."
        )


def _build_target(url: str, named_by: str) -> Target:
    """Return the service at `url`. What is no URL is not repeated: it may be an API key."""
    if "://" not in url:
        raise InvalidInputError(f"{named_by} must be a URL, such as https://tokens.example")
    return Target(url=url, profile=None, named_by=named_by)


def _find_profile(name: str | None, named_by: str) -> Target | None:
    """Return what a profile names, or the profile in use if `name` is None."""
    from tokensvc.cli.profiles import load_profiles  # noqa: PLC0415 - most commands need none

    profiles = load_profiles()
    name = name or profiles.current
    if name is None:
        return None
    profile = profiles.find(name)
    return Target(url=profile.url, profile=profile, named_by=named_by)
