"""What a key has more of than another one: reckoned for the tests alone, by trying.

The product compares networks and lists as sets. Here addresses and names are tried one by one, so
that both are not wrong in the same way.
"""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from tokensvc.core.api_key import ApiKeyRecord

AUDIENCES: Final = ("one", "two", "three", "tokensvc", "absent", "zebra-api")
ADDRESSES: Final = (
    "9.255.255.255", "10.0.0.0", "10.1.2.3", "10.255.255.255", "11.0.0.0", "192.0.2.1",
    "2001:db8::", "2001:db8:1::1", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::", "::1",
    "::ffff:10.1.2.3",
)  # fmt: skip
SERVICE: Final = "tokensvc:"


def list_excess(own: ApiKeyRecord, shown: Collection[str], key: ApiKeyRecord) -> list[str]:
    """Return what `key` has more of than a caller may give.

    `own`: the key of the caller as it was before. `shown`: the capabilities of what it has shown.
    """
    mine, theirs = own.terms, key.terms
    excess = [
        f"capability {name}"
        for name in theirs.capabilities
        if name not in mine.capabilities or (name.startswith(SERVICE) and name not in shown)
    ]
    excess += [
        f"audience {name}"
        for name in AUDIENCES
        if may_be_for(name, theirs.audiences) and not may_be_for(name, mine.audiences)
    ]
    excess += [
        f"address {address}"
        for address in ADDRESSES
        if may_come_from(address, theirs.networks) and not may_come_from(address, mine.networks)
    ]
    excess += [
        f"claim {name}"
        for name, value in theirs.claims.items()
        if name not in mine.claims or json.dumps(value) != json.dumps(mine.claims[name])
    ]
    if theirs.self_rotation and not mine.self_rotation:
        excess.append("self-rotation")
    if key.minute_limit > own.minute_limit or key.day_limit > own.day_limit:
        excess.append(f"limits {key.minute_limit} {key.day_limit}")
    if is_later(key.expires_at, own.expires_at):
        excess.append(f"life until {key.expires_at}")
    return excess


def may_be_for(audience: str, listed: Collection[str]) -> bool:
    return not listed or audience in listed


def may_come_from(address: str, networks: Collection[str]) -> bool:
    one = ipaddress.ip_address(address)
    return not networks or any(one in ipaddress.ip_network(network) for network in networks)


def is_later(end: datetime | None, other: datetime | None) -> bool:
    if end is None or other is None:
        return end is None and other is not None
    return end > other
