"""What a request says of a key, and whether the caller may say it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypedDict

from tokensvc.core.errors import ForbiddenError
from tokensvc.issuer.admin import api_keys
from tokensvc.issuer.admin.key_life import decide_life
from tokensvc.issuer.operations.limits import build_limit_changes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.key_models import ChangedKeyFields, CreateKey

_ADMIN_FIELDS: Final = ("claims", "tier")


class _Said(TypedDict):
    """What a request says of a key and a use case takes as it is."""

    name: str
    description: str
    capabilities: Collection[str]
    audiences: Collection[str]
    networks: Collection[str]
    metadata: Mapping[str, Any]
    claims: Mapping[str, Any]
    self_rotation: bool


def build_wish(call: Call, request: CreateKey) -> api_keys.KeyWish:
    """Return what a request says of a new key."""
    life, limits = find_life(call, request), build_limit_changes(request)
    return api_keys.KeyWish(**_read(request), life=life, limits=limits)


def build_changes(request: ChangedKeyFields) -> api_keys.KeyChanges:
    """Return what a request changes of a key."""
    life = None
    if "expires_in" in request.model_fields_set:
        life = timedelta(seconds=request.expires_in or 0)
    return api_keys.KeyChanges(**_read(request), life=life, limits=build_limit_changes(request))


def _read(request: CreateKey | ChangedKeyFields) -> _Said:
    return _Said(
        name=request.name,
        description=request.description,
        capabilities=request.capabilities,
        audiences=request.audiences,
        networks=request.networks,
        metadata=request.metadata,
        claims=request.claims,
        self_rotation=request.self_rotation,
    )


def find_life(call: Call, request: CreateKey | ChangedKeyFields) -> timedelta | None:
    """Return how long a key will live from now on, None without end."""
    named = "expires_in" in request.model_fields_set
    life = None if request.expires_in is None else timedelta(seconds=request.expires_in)
    return decide_life(life, is_named=named, longest=find_longest(call))


def find_longest(call: Call) -> timedelta | None:
    """Return the longest life that the caller may give to a key, None for any."""
    return None if call.principal.is_admin else call.settings.longest_key_life


def check_admin_fields(call: Call, request: CreateKey | ChangedKeyFields | None) -> None:
    """Raise ForbiddenError if only an admin may say what the request says.

    Relying parties trust claims, and a tier may change later.
    """
    said = set() if request is None else request.model_fields_set
    named = [name for name in _ADMIN_FIELDS if name in said]
    if named and not call.principal.is_admin:
        raise ForbiddenError(
            f"only tokensvc:admin sets {' and '.join(named)}", reason="admin_fields"
        )
