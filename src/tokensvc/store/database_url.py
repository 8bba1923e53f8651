"""URLs of Postgres, as libpq writes them: several hosts may stand in one."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from tokensvc.core.errors import StartRefusedError

_PORT = re.compile(r":([^:\]]*)$")  # after a name or a bracketed IPv6 address
_LIBPQ_ONLY: Final = {
    "connect_timeout",
    "target_session_attrs",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
}


def check_database_url(url: str, *, setting: str = "TOKENSVC_DATABASE_URL") -> None:
    """Raise StartRefusedError unless `url` is a URL of Postgres.

    The message names the setting and never repeats the URL, which may hold a password.
    """
    parts = urlsplit(url)
    ports = [port[1] for host in _hosts(parts.netloc) if (port := _PORT.search(host))]
    named = parts.scheme in {"postgresql", "postgres"} and parts.path.strip("/")
    if not named or not all(port.isdecimal() for port in ports):
        raise StartRefusedError(
            f"{setting} must look like postgresql://user:password@host:5432/database"
        )


def split_hosts(url: str) -> list[str]:
    """Return one URL per host, without the options that only libpq understands.

    The hosts stand before the path, or in the options `host` and `port`.
    """
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    options = [pair for pair in parse_qsl(parts.query) if pair[0] not in _LIBPQ_ONLY]
    return [
        urlunsplit((parts.scheme, user + at + unquote(host), parts.path, urlencode(chosen), ""))
        for host in _hosts(parts.netloc)
        for chosen in _split_options(options)
    ]


def _split_options(options: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Return the options once for each host that they name; one port may serve all hosts."""
    named = dict(options)
    hosts = named.get("host", "").split(",")
    ports = named.get("port", "").split(",")
    if len(ports) != len(hosts):
        ports = ports[:1] * len(hosts)
    places = [{"host": host, "port": port} for host, port in zip(hosts, ports, strict=True)]
    return [[(name, place.get(name, value)) for name, value in options] for place in places]


def _hosts(netloc: str) -> list[str]:
    return netloc.rpartition("@")[2].split(",")
