"""What a caller may give to a key: never more than its own key has.

A new key, or a key as it is after a change, is compared with the key of the caller. The same
comparison decides which keys a caller may rotate, enable or change at all, because a rotation
hands out a secret.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from tokensvc.core.capability import ADMIN, KEYS, is_for_service
from tokensvc.core.errors import CallerEndedError, ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from tokensvc.core.api_key import ApiKeyRecord, ListedKey
    from tokensvc.core.identifier import KeyId


class Grantor(NamedTuple):
    """A caller that gives something to keys: its own key, and what it has shown.

    `capabilities`: those of the API key or token that was shown.
    """

    key_id: KeyId
    capabilities: frozenset[str]

    @property
    def is_admin(self) -> bool:
        """Whether it may give everything."""
        return ADMIN in self.capabilities


def check_standing(grantor: Grantor, own: ListedKey | None, *, is_suspended: bool) -> None:
    """Raise ForbiddenError if the key of a caller has ended, or has lost its right, meanwhile.

    A call that waited for a lock must not outlive the key that it was made with. `own` is None if
    that key is deleted; `is_suspended`: whether its account is suspended.
    """
    if own is None or own.state != "active" or is_suspended:
        raise CallerEndedError
    # By the right that was shown: a key that has lost it must not go on as what it was.
    needed = ADMIN if grantor.is_admin else KEYS
    if needed not in own.record.terms.capabilities:
        raise ForbiddenError(f"your own key does not hold {needed} any more", reason="caller_ended")


def restrict_own_key(own: ApiKeyRecord, grantor: Grantor) -> ApiKeyRecord:
    """Return the key of a caller as far as the caller may pass it on.

    A token that was narrowed to tokensvc:keys must not make a key that holds tokensvc:admin. So
    capabilities for calls to the service count only if they were shown.
    """
    held = tuple(
        name
        for name in own.terms.capabilities
        if not is_for_service(name) or name in grantor.capabilities
    )
    return replace(own, terms=replace(own.terms, capabilities=held))


def check_names(
    own: ApiKeyRecord, capabilities: Collection[str], audiences: Collection[str]
) -> None:
    """Raise ForbiddenError for capabilities and audiences that the key of the caller lacks.

    This comes before anybody looks whether they exist: the caller must not learn that of others.
    """
    for words, names, allowed in (
        ("more capabilities", capabilities, own.terms.capabilities),
        # A key without a list may ask for every audience, so it may pass on every one.
        ("more audiences", audiences, own.terms.audiences or audiences),
    ):
        if not set(names) <= set(allowed):
            raise _refuse(words)


def check_within(own: ApiKeyRecord, other: ApiKeyRecord) -> None:
    """Raise ForbiddenError if `other` may do more than `own`, the key of the caller.

    Both are as Postgres shows them: their limits follow from tiers too.
    """
    beyond = next(iter(list_beyond(own, other)), None)
    if beyond is not None:
        raise _refuse(beyond)


def list_beyond(own: ApiKeyRecord, other: ApiKeyRecord) -> list[str]:
    """Return in words what `other` has more of than `own`."""
    mine, theirs = own.terms, other.terms
    found = {
        "more capabilities": not set(theirs.capabilities) <= set(mine.capabilities),
        "more audiences": not _is_narrower(theirs.audiences, mine.audiences),
        "more networks": not lie_within(theirs.networks, mine.networks),
        "other claims": not _write_members(theirs.claims) <= _write_members(mine.claims),
        "more rights to rotate itself": theirs.self_rotation and not mine.self_rotation,
        "a higher limit per minute": other.minute_limit > own.minute_limit,
        "a higher limit per day": other.day_limit > own.day_limit,
        "a longer life": not _ends_first(other.expires_at, own.expires_at),
    }
    return [words for words, is_beyond in found.items() if is_beyond]


def lie_within(networks: Collection[str], allowed: Collection[str]) -> bool:
    """Compare two lists of networks; an empty one allows every address."""
    if not allowed:
        return True
    return bool(networks) and all(
        any(_is_subnet(network, other) for other in allowed) for network in networks
    )


def _is_narrower(names: Collection[str], allowed: Collection[str]) -> bool:
    """Compare two lists; an empty one allows everything."""
    return not allowed or (bool(names) and set(names) <= set(allowed))


def _is_subnet(network: str, other: str) -> bool:
    """Compare two networks. IPv4 never lies within IPv6: addresses are compared in the same way."""
    inner, outer = ipaddress.ip_network(network), ipaddress.ip_network(other)
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _write_members(claims: Mapping[str, Any]) -> set[str]:
    """Return each member as JSON, in which `true` is not 1."""
    return {json.dumps([name, value], sort_keys=True) for name, value in claims.items()}


def _ends_first(end: datetime | None, other: datetime | None) -> bool:
    """Compare two ends; None is no end at all."""
    return other is None or (end is not None and end <= other)


def _refuse(beyond: str) -> ForbiddenError:
    return ForbiddenError(
        f"the key would have {beyond} than your own key has; an admin can give that",
        reason="beyond_own_key",
    )
