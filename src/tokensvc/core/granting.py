"""What a caller may give to a key: never more than its own key has.

A new key, or a key as it is after a change, is compared with the key of the caller. The same
comparison decides which keys a caller may rotate, enable or change at all, because a rotation
hands out a secret.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from tokensvc.core.errors import ForbiddenError

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from tokensvc.core.api_key import ApiKeyRecord


def check_within(own: ApiKeyRecord, other: ApiKeyRecord) -> None:
    """Raise ForbiddenError if `other` may do more than `own`, the key of the caller.

    Both are as Postgres shows them: their limits follow from tiers too.
    """
    beyond = next(iter(list_beyond(own, other)), None)
    if beyond is not None:
        raise ForbiddenError(
            f"the key would have {beyond} than your own key has; an admin can give that",
            reason="beyond_own_key",
        )


def list_beyond(own: ApiKeyRecord, other: ApiKeyRecord) -> list[str]:
    """Return in words what `other` has more of than `own`."""
    mine, theirs = own.terms, other.terms
    found = {
        "more capabilities": not set(theirs.capabilities) <= set(mine.capabilities),
        "more audiences": not _is_narrower(theirs.audiences, mine.audiences),
        "more networks": not _lie_within(theirs.networks, mine.networks),
        "other claims": not theirs.claims.items() <= mine.claims.items(),
        "a higher limit per minute": other.minute_limit > own.minute_limit,
        "a higher limit per day": other.day_limit > own.day_limit,
        "a longer life": not _ends_first(other.expires_at, own.expires_at),
    }
    return [words for words, is_beyond in found.items() if is_beyond]


def _is_narrower(names: Collection[str], allowed: Collection[str]) -> bool:
    """Compare two lists; an empty one allows everything."""
    return not allowed or (bool(names) and set(names) <= set(allowed))


def _lie_within(networks: Collection[str], allowed: Collection[str]) -> bool:
    """Compare two lists of networks; an empty one allows every address."""
    if not allowed:
        return True
    wide = [ipaddress.ip_network(network) for network in allowed]
    return bool(networks) and all(
        any(_is_subnet(ipaddress.ip_network(network), other) for other in wide)
        for network in networks
    )


def _is_subnet(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
    other: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> bool:
    return network.version == other.version and network.subnet_of(other)  # type: ignore[arg-type]


def _ends_first(end: datetime | None, other: datetime | None) -> bool:
    """Compare two ends; None is no end at all."""
    return other is None or (end is not None and end <= other)
