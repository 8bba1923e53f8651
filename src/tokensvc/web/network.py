"""The network that a client is in.

It stands for the client where a single address would be too little, or too personal.
"""

from __future__ import annotations

import functools
import ipaddress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aiohttp import web

UNKNOWN: Final = "unknown"


def find_network(request: web.Request, trusted_hops: int) -> str:
    """Return the client's network: /24 of IPv4, /48 of IPv6; "unknown" if there is no address.

    `trusted_hops`: how many proxies of ours stand in front and append to X-Forwarded-For. What
    stands further left was written by the client and proves nothing.
    """
    if not trusted_hops:
        return network_of(request.remote or "")
    hops = [
        hop.strip()
        for line in request.headers.getall("X-Forwarded-For", [])
        for hop in line.split(",")
    ]
    return network_of(hops[-trusted_hops] if len(hops) >= trusted_hops else "")


@functools.lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return the network of an address, "unknown" if it is no IP address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return UNKNOWN
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return network_of(str(parsed.ipv4_mapped))
        return str(ipaddress.ip_network((int(parsed), 48), strict=False))
    return str(ipaddress.ip_network((int(parsed), 24), strict=False))
