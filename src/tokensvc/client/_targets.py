"""Where a token may be sent: to the hosts that were named, over https or on loopback. Pure.

Adapters ask before every request that they send, so also after a redirect that their library hands
to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from tokensvc.client._errors import HostNotAllowedError
from tokensvc.core.url import check_secure_url

if TYPE_CHECKING:
    from collections.abc import Collection

Elsewhere = Literal["refuse", "no_token"]

_PORTS: Final = {"http": 80, "https": 443}


class Targets:
    """The hosts that may get a token.

    `api.example.com` allows every port of that host, `api.example.com:8443` only this port. Names
    with other letters are written in their ASCII form. `elsewhere` decides about requests to other
    places: "refuse" raises HostNotAllowedError, "no_token" sends them without a token.
    """

    def __init__(self, allowed_hosts: Collection[str], elsewhere: Elsewhere = "refuse") -> None:
        if isinstance(allowed_hosts, str) or not allowed_hosts:
            raise ValueError(
                "allowed_hosts must be a collection of at least one host, "
                "like {'api.example.com'}, and not a text"
            )
        if elsewhere not in {"refuse", "no_token"}:
            raise ValueError("elsewhere must be 'refuse' or 'no_token'")
        self._allowed = frozenset(_parse_host(entry) for entry in allowed_hosts)
        self._refuses = elsewhere == "refuse"

    def cover(self, scheme: str, host: str, port: int | None) -> bool:
        """Return whether a request to this place gets a token.

        Raises HostNotAllowedError if the request must not be sent at all.
        """
        trouble = self._find_trouble(scheme, host.lower(), port or _PORTS.get(scheme))
        if trouble is None:
            return True
        if self._refuses:
            raise HostNotAllowedError(trouble)
        return False

    def _find_trouble(self, scheme: str, host: str, port: int | None) -> str | None:
        if not self._allowed & {(host, None), (host, port)}:
            return f"{host!r} (port {port}) is not in allowed_hosts, so it gets no token"
        try:
            check_secure_url(f"{scheme}://[{host}]" if ":" in host else f"{scheme}://{host}")
        except ValueError:
            return f"{host!r} gets no token over {scheme}: https is required, except on loopback"
        return None


def _parse_host(entry: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(f"//{entry}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or not entry.isascii() or parts.netloc != entry or "@" in entry or "*" in entry:
        raise ValueError(
            f"{entry!r} in allowed_hosts is not a host: "
            "write api.example.com, api.example.com:8443 or [::1]:8443, in ASCII"
        )
    return host, port
