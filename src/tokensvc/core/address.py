"""Which addresses are safe to fetch keys and revocations from, and to send an API key to."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

_LOOPBACK: Final = {"127.0.0.1", "localhost", "::1"}
_PORTS: Final = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself."""
    return host in _LOOPBACK


def check_secure_url(url: str) -> str:
    """Return `url` if it is https, or on loopback. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} is no http(s) URL")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError(
            f"{url!r} must be https: over http, others on the network could read API keys and "
            "replace signing keys. Plain http is for loopback only"
        )
    return url


def find_origin(url: str) -> str:
    """Return the origin of an http(s) URL as browsers write it: RFC 6454 section 6.

    Raises ValueError if the URL is none.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is no http(s) URL")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in {None, _PORTS[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
