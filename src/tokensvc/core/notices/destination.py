"""Where a notice may be sent to.

Those who may add an endpoint could otherwise let the service call what only the service reaches:
its own machine, the network behind it, the metadata of a cloud. The text of a URL does not tell: a
host can be written in many ways, and a name leads anywhere. So the text is only checked for its
form, and what decides is the address that is really connected to.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from tokensvc.core.errors import InvalidInputError
from tokensvc.core.network import parse_network

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

Kind = Literal["webhook", "mail"]

MAX_ADDRESS_LENGTH: Final = 254
_MAX_LENGTH: Final = 2000
_MAILTO: Final = "mailto:"
# What nearly all mailboxes look like. No quotes, spaces or control characters: it becomes a header.
_MAILBOX: Final = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}",
    re.ASCII,
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL: Final = ipaddress.IPv6Network("64:ff9b:1::/48")
_FOUR_BYTES: Final = 0xFFFFFFFF


class Destination(NamedTuple):
    """A URL that has the right form. `host`: as it is shown in places where the rest is secret."""

    kind: Kind
    url: str
    host: str


def parse_destination(text: str, *, http_allowed: bool) -> Destination:
    """Return the receiver that a URL names: https://..., or mailto:somebody@example.com.

    `http_allowed`: http is possible as well, because the operator allows certain networks. Raises
    InvalidInputError.
    """
    if len(text) > _MAX_LENGTH or not text.isprintable() or " " in text or not text.isascii():
        raise _refuse(
            f"a URL has at most {_MAX_LENGTH} characters, all of them ASCII and none of them a "
            "space; write a name with other letters in its ASCII form (xn--...)"
        )
    if text.lower().startswith(_MAILTO):
        return _parse_mailbox(text[len(_MAILTO) :])
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        _ = parts.port  # raises ValueError if it is no number of a port
    except ValueError as error:
        raise _refuse("this is no URL") from error
    schemes = {"https", "http"} if http_allowed else {"https"}
    if parts.scheme not in schemes or not host:
        raise _refuse(
            "the URL must be https://... or mailto:...; http is for networks that "
            "TOKENSVC_NOTICE_ALLOWED_NETWORKS names"
        )
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _refuse(
            "the URL must have no user, password or fragment: receivers know the sender by the "
            "signature"
        )
    return Destination("webhook", text, host)


def _refuse(message: str) -> InvalidInputError:
    return InvalidInputError(message, pointer="/url")


def _parse_mailbox(address: str) -> Destination:
    if not _is_address(address):
        raise _refuse("after mailto: comes one address, like ops@example.com")
    return build_mailbox(address)


def _is_address(text: str) -> bool:
    return len(text) <= MAX_ADDRESS_LENGTH and _MAILBOX.fullmatch(text) is not None


def parse_address(text: str) -> str:
    """Return the address of a mailbox, trimmed. Raises InvalidInputError."""
    address = text.strip()
    if not _is_address(address):
        raise InvalidInputError("this must be one mail address, like ops@example.com")
    return address


def build_mailbox(address: str) -> Destination:
    """Return the mailbox with an address that `parse_address` has returned."""
    return Destination("mail", _MAILTO + address, address.rpartition("@")[2].lower())


def find_mail_address(url: str) -> str | None:
    """Return the address of a mailbox, None if the URL is that of a receiver on the web."""
    return url[len(_MAILTO) :] if url.startswith(_MAILTO) else None


def parse_networks(text: str) -> tuple[Network, ...]:
    """Return the networks in a list that is separated by commas or spaces.

    They are written as those of keys are. Raises InvalidInputError.
    """
    texts = text.replace(",", " ").split()
    return tuple(ipaddress.ip_network(parse_network(one)) for one in texts)


def may_connect(address: str, allowed: Sequence[Network] = ()) -> bool:
    """Tell whether a notice may be sent to an IP address: a public one, or one that is allowed.

    An IPv4 address that is hidden in an IPv6 one (mapped, NAT64) is judged as what it is. One of
    6to4 is not public, whatever is inside; the operator may allow it, or the one inside.
    """
    try:
        meant = list(_unwrap(ipaddress.ip_address(address.partition("%")[0])))
    except ValueError:
        return False
    if any(one in network for one in meant for network in allowed if _fits(one, network)):
        return True
    # An address with a zone belongs to the link of one machine, and is never public.
    return "%" not in address and all(_is_public(one) for one in meant)


def is_allowed_apart(address: str, allowed: Sequence[Network]) -> bool:
    """Tell whether the operator has allowed this very address, so that http may be spoken to it."""
    return may_connect(address, allowed) and not may_connect(address)


def _fits(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: Network) -> bool:
    return address.version == network.version


def _unwrap(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> Iterable[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Return the addresses that packets may end at: the one inside, if there is one inside."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]
    if address in _NAT64:
        return [ipaddress.IPv4Address(int(address) & _FOUR_BYTES)]
    if address.sixtofour is not None:
        return [address, address.sixtofour]
    return [address]


def _is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Tell whether an address is one host somewhere in the public network.

    `is_global` alone lets groups of hosts (multicast) through, what is reserved, and the site-local
    addresses of old. Releases of Python differ about 6to4, which nobody uses any more (RFC 7526).
    """
    if isinstance(address, ipaddress.IPv6Address) and (
        address.is_site_local or address in _NAT64_LOCAL or address.sixtofour is not None
    ):
        return False
    is_special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not is_special
