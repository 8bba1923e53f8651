"""Limits as requests name them: null takes a limit away, and what is absent stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tokensvc.core.limit import LimitChanges

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet


class LimitedRequest(Protocol):
    """A request that may change limits."""

    tier: str | None
    per_minute: int | None
    per_day: int | None

    @property
    def model_fields_set(self) -> AbstractSet[str]:
        """The fields that the caller has named."""


def build_limit_changes(request: LimitedRequest) -> LimitChanges:
    """Return what a request says of limits."""
    named = request.model_fields_set
    return LimitChanges(
        tier=(request.tier or "") if "tier" in named else None,
        per_minute=(request.per_minute or 0) if "per_minute" in named else None,
        per_day=(request.per_day or 0) if "per_day" in named else None,
    )
