"""Networks that a key may be used from: CIDR, IPv4 and IPv6."""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple

from tokensvc.core.errors import InvalidInputError

_IPV4: Final = 4
_CIDR: Final = re.compile(r"[^/]+(/[0-9]{1,3})?", re.ASCII)


class ClientPlace(NamedTuple):
    """Where a client is.

    `network`: /24 of IPv4, /48 of IPv6. If the address is not known, it is "unknown", and `address`
    is None.
    """

    network: str
    address: str | None


def find_network_of(address: str) -> str:
    """Return the network that an IP address is in, as far as people are not told apart.

    It is the /24 of an IPv4 address and the /48 of an IPv6 one.
    """
    parsed = ipaddress.ip_address(address)
    length = 24 if parsed.version == _IPV4 else 48
    return str(ipaddress.ip_network((int(parsed), length), strict=False))


def parse_network(text: str) -> str:
    """Return a network in its usual form, `192.0.2.0/24` or `2001:db8::/48`.

    An address alone is the network of that address. An IPv4 network that is written as IPv6
    (`::ffff:192.0.2.0/120`) becomes IPv4, because clients are compared as IPv4. Raises
    InvalidInputError, also if bits are set beyond the prefix: one of the two is a slip.
    """
    if not _CIDR.fullmatch(text):  # a mask would be read as well, even one of the hosts
        raise _refuse(text)
    try:
        network = ipaddress.ip_network(text, strict=True)
    except ValueError as error:
        raise _refuse(text) from error
    if isinstance(network, ipaddress.IPv6Network):
        if network.network_address.scope_id is not None:
            raise InvalidInputError(f"{text[:80]!r} has a zone, which only one machine knows")
        mapped = network.network_address.ipv4_mapped
        if mapped is not None and network.prefixlen >= 96:  # noqa: PLR2004 - ::ffff:0:0/96
            return str(ipaddress.ip_network((int(mapped), network.prefixlen - 96)))
    return str(network)


def _refuse(text: str) -> InvalidInputError:
    return InvalidInputError(
        f"{text[:80]!r} is no network; write it like 192.0.2.0/24 or 2001:db8::/48, "
        "without bits behind the prefix"
    )
