"""Which addresses are safe to fetch keys and revocations from, and to send an API key to."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

_LOOPBACK: Final = {"127.0.0.1", "localhost", "::1"}
_WILDCARDS: Final = {"0.0.0.0", "::"}  # noqa: S104 - told apart, not listened on
# Everything but the characters of a URL (RFC 3986 section 2).
_NO_SIGN_OF_URLS: Final = re.compile(r"[^!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]")
_PORTS: Final = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself."""
    return host in _LOOPBACK


def is_wildcard(host: str) -> bool:
    """Tell whether who listens on `host` listens on every address of the machine."""
    return host in _WILDCARDS


def check_secure_url(url: str, *, allow_http: bool = False) -> str:
    """Return `url` if it is https, or on loopback. Raises ValueError.

    `allow_http`: plain http is taken to anywhere, as in a network of containers for a trial.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{url!r} is no http(s) URL")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not allow_http:
        raise ValueError(
            f"{url!r} must be https: over http, others on the network could read API keys and "
            "replace signing keys. Plain http is for loopback, or for a trial (allow_http, "
            "TOKENSVC_ALLOW_HTTP=yes)"
        )
    return url


def parse_issuer(text: str) -> str:
    """Return an issuer as all who compare it write it: RFC 8414 section 2, RFC 3986 section 6.2.

    Space around it, capitals in scheme and host, the default port and slashes at the end mean
    nothing, so they are left out. Raises ValueError, whose message never repeats a password.
    """
    url = text.strip()
    sign = _NO_SIGN_OF_URLS.search(url)
    if sign is not None:
        raise ValueError(f"it holds {sign[0]!r}, which no URL has")
    if set("?#") & set(url):
        raise ValueError("must be an http(s) URL without query and fragment (RFC 8414 section 2)")
    try:
        origin, parts = find_origin(url), urlsplit(url)
    except ValueError:
        raise ValueError("must be an http(s) URL, like https://tokens.example") from None
    if "@" in parts.netloc:
        raise ValueError("it must not hold a user or a password: everybody reads it")
    return f"{origin}{parts.path.rstrip('/')}"


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
