"""The address that a client has, and the network that it is in.

The network stands for the client where a single address would be too little, or too personal.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from typing import TYPE_CHECKING, Final

from tokensvc.core.network import ClientPlace, find_network_of
from tokensvc.logs.logger import get_logger

if TYPE_CHECKING:
    from aiohttp import web

    from tokensvc.web.plain_request import PlainRequest

UNKNOWN: Final = "unknown"
# Some proxies (Azure's among them) write the port behind the address. The forms of RFC 7239, with
# brackets and quotation marks, are understood too.
_WITH_PORT: Final = re.compile(
    r'"?(?:\[([0-9A-Za-z:.%_-]+)\]|([0-9.]+))(?::[0-9]{1,5})?"?', re.ASCII
)

_log = get_logger(__name__)


def find_network(request: web.Request | PlainRequest, trusted_hops: int) -> str:
    """Return the client's network: /24 of IPv4, /48 of IPv6; "unknown" if there is no address.

    `trusted_hops`: as in `find_address`.
    """
    return find_client_place(request, trusted_hops).network


def find_address(request: web.Request | PlainRequest, trusted_hops: int) -> str | None:
    """Return the client's address, None if it is not known.

    `trusted_hops`: how many proxies of ours stand in front and append to X-Forwarded-For. What
    stands further left was written by the client and proves nothing.
    """
    return find_client_place(request, trusted_hops).address


def find_client_place(request: web.Request | PlainRequest, trusted_hops: int) -> ClientPlace:
    """Return both."""
    return _parse_client_place(_find_sender(request, trusted_hops))


def _find_sender(request: web.Request | PlainRequest, trusted_hops: int) -> str:
    """Return the text that names the client, which may hold a port."""
    if not trusted_hops:
        if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
            warn_of_proxy()
        return request.remote or ""
    hops = [
        hop.strip()
        for line in request.headers.getall("X-Forwarded-For", [])
        for hop in line.split(",")
    ]
    # A shorter list did not pass all of our proxies, so nothing in it is known to be true.
    return hops[-trusted_hops] if len(hops) >= trusted_hops else ""


@functools.lru_cache(maxsize=4096)
def _parse_client_place(sender: str) -> ClientPlace:
    parsed = parse_address(sender)
    if parsed is None:
        return ClientPlace(UNKNOWN, None)
    # A zone says which network card it is, and no network that a key names has one.
    address = str(parsed).partition("%")[0]
    return ClientPlace(find_network_of(address), address)


def parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address that `text` is, None if it is none.

    A port may stand behind it. An IPv4 address inside an IPv6 one is the IPv4 address.
    """
    found = _WITH_PORT.fullmatch(text)
    try:
        parsed = ipaddress.ip_address(found[1] or found[2] if found else text)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


@functools.cache  # one line in the life of a process
def warn_of_proxy() -> None:
    """Tell the operator that there may be a proxy which the settings do not know of."""
    _log.warning(
        "forwarded_header_not_trusted",
        detail="a request names another client address (X-Forwarded-For or Forwarded), and it is "
        "not read. If a proxy of yours stands in front, all clients look like one network: let it "
        "append to X-Forwarded-For and set TOKENSVC_TRUSTED_PROXY_HOPS",
    )
