"""Settings as they are shown: by the names that people set, and without what is secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import SecretStr

from tokensvc.settings.all_settings import PREFIX
from tokensvc.settings.names import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokensvc.settings.all_settings import Settings


class Shown(NamedTuple):
    """One setting. `value`: None if it is not set, or secret.

    `source`: "environment", the path of a file, or "default".
    """

    field: str
    name: str
    value: str | None
    is_secret: bool
    is_set: bool
    is_default: bool
    source: str


def show_settings(settings: Settings) -> Iterator[Shown]:
    """Yield all settings by name."""
    for field in sorted(FIELDS):
        value, described = getattr(settings, field), type(settings).model_fields[field]
        # The value of a secret that is not set is None, so its annotation is asked too.
        is_secret = isinstance(value, SecretStr) or SecretStr.__name__ in str(described.annotation)
        yield Shown(
            field=field,
            name=f"{PREFIX}{field.upper()}",
            value=None if value is None or is_secret else str(value),
            is_secret=is_secret,
            is_set=value is not None and value != "",
            is_default=value == described.default,
            source=settings.sources.get(field, "default"),
        )
