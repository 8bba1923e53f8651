"""Which token a caller wants, and the form that asks the issuer for it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Wanted:
    """Audience and scope of a token; None means the default audience and all capabilities."""

    audience: str | None
    scope: str | None


def parse_wanted(audience: str | None, scope: str | None) -> Wanted:
    """Return what is wanted, with the capabilities of the scope in one order. Raises ValueError."""
    if audience == "" or (scope is not None and not scope.split()):
        raise ValueError(
            "audience and scope must not be empty; "
            "leave them out for the default audience and all capabilities"
        )
    return Wanted(audience, None if scope is None else " ".join(sorted(set(scope.split()))))


def build_form(wanted: Wanted, expires_in: int | None) -> Mapping[str, str]:
    """Return the form of an exchange; `expires_in` in seconds asks for a shorter life."""
    form = {
        "audience": wanted.audience,
        "scope": wanted.scope,
        "expires_in": None if expires_in is None else str(expires_in),
    }
    return {name: value for name, value in form.items() if value is not None}
