"""URLs of Postgres, as libpq writes them: several hosts may stand in one."""

from __future__ import annotations

import getpass
import os
import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from tokensvc.core.errors import StartRefusedError
from tokensvc.store.libpq import choose_parameters

if TYPE_CHECKING:
    from collections.abc import Sequence
    from urllib.parse import SplitResult

# A name, an address, or the folder of a socket; and a port.
_HOST: Final = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::(\d*))?")
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_LOOKS: Final = (
    "must look like postgresql://user:password@host:5432/database; in a password, write %20 for a "
    "space, %23 for #, %25 for %, %2F for /, %3F for ?, %40 for @, %5B for [ and %5D for ]"
)
# Debian, Red Hat and Alpine have them here. A Python that was not built by them looks elsewhere.
_AUTHORITIES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)


class _HostPort(NamedTuple):
    host: str
    port: str


def parse_database_url(text: str, *, setting: str = "TOKENSVC_DATABASE_URL") -> tuple[str, ...]:
    """Return one URL for each host in `text`, with what the driver understands and nothing else.

    The hosts stand before the path, where the folder of a socket is written with %2F, or in the
    parameters `host` and `port`. Raises StartRefusedError. The message names the setting and never
    repeats the URL, which may hold a password.
    """
    parts = _split(text, setting)
    given = parse_qsl(parts.query, keep_blank_values=True)
    try:
        chosen = dict(choose_parameters(given, find_authorities()))
    except ValueError as error:
        raise StartRefusedError(f"{setting}: {error}") from None
    _check_files(chosen, setting)
    user, at, hosts = parts.netloc.rpartition("@")
    places = _parse_places(hosts, chosen, setting)
    if not at and "user" not in chosen and "service" not in chosen:
        _check_user(setting)
    return tuple(
        f"postgresql://{_quote_user(user)}{at}{_write(place, parts.path, chosen)}"
        for place in dict.fromkeys(places)
    )


def name_database(host_url: str, name: str) -> str:
    """Return the URL of another database of the same server. `host_url` is a parsed one."""
    parts, given = _take_apart(host_url)
    for parameter in ("dbname", "database"):
        given.pop(parameter, None)
    return _put_together(parts.netloc, name, given)


def split_password(host_url: str) -> tuple[str, dict[str, str]]:
    """Return a parsed URL without its password, for libpq's programs, and the variable with it."""
    parts, given = _take_apart(host_url)
    name = given.pop("database", "") or unquote(parts.path).removeprefix("/")
    login, at, host = parts.netloc.rpartition("@")
    user, _, written = login.partition(":")
    password = given.pop("password", "") or unquote(written)
    bare = _put_together(f"{user}{at}{host}", given.pop("dbname", "") or name, given)
    return bare, {"PGPASSWORD": password} if password else {}


def drop_login(host_url: str) -> str:
    """Return a parsed URL without user and password: where it leads to."""
    parts, given = _take_apart(host_url)
    others = {name: given[name] for name in given if name not in {"user", "password"}}
    return _put_together(
        parts.netloc.rpartition("@")[2], unquote(parts.path).removeprefix("/"), others
    )


def find_authorities() -> str | None:
    """Return the file of the certificate authorities that this machine trusts, None without one."""
    own = ssl.get_default_verify_paths().cafile
    return next((path for path in (own, *_AUTHORITIES) if path and Path(path).is_file()), None)


def _take_apart(host_url: str) -> tuple[SplitResult, dict[str, str]]:
    parts = urlsplit(host_url)
    return parts, dict(parse_qsl(parts.query))


def _put_together(netloc: str, database: str, given: dict[str, str]) -> str:
    query = f"?{urlencode(given)}" if given else ""
    return f"postgresql://{netloc}/{quote(database, safe='')}{query}"


def _split(text: str, setting: str) -> SplitResult:
    """Return the parts of a URL that names a database."""
    try:
        parts = urlsplit(text)
        named = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
    # The error may quote the URL, and with it the password: hence `from None`.
    except ValueError:
        raise StartRefusedError(f"{setting} {_LOOKS}") from None
    # `urlsplit` drops line breaks and tabs without a word, so the text itself is searched for them.
    is_named = parts.path.strip("/") or {"dbname", "database", "service"} & named.keys()
    if parts.scheme not in {"postgresql", "postgres"} or not is_named or _CONTROL.search(text):
        raise StartRefusedError(f"{setting} {_LOOKS}")
    return parts


def _parse_places(hosts: str, chosen: dict[str, str], setting: str) -> Sequence[_HostPort]:
    """Return the hosts. They are taken out of the parameters; one port may serve all hosts."""
    named, ports = chosen.pop("host", ""), chosen.pop("port", "").split(",")
    places = []
    for text in (hosts or named).split(","):
        # In the parameters the port stands apart, and the folder of a socket may hold a colon.
        match = _HOST.fullmatch(text) if hosts else None
        if hosts and match is None:
            raise StartRefusedError(f"{setting} {_LOOKS}")
        host, port = (text, "") if match is None else (unquote(match[1]), match[2] or "")
        is_bare_ipv6 = ":" in host and host[0] not in "[/"
        places.append(_HostPort(f"[{host}]" if is_bare_ipv6 else host, port))
    if len(ports) != len(places):
        ports = ports[:1] * len(places)
    paired = [
        _HostPort(host, own or other) for (host, own), other in zip(places, ports, strict=True)
    ]
    if not all(port == "" or port.isdecimal() for _, port in paired):
        raise StartRefusedError(f"{setting}: the port is a number")
    return paired


def _write(place: _HostPort, path: str, chosen: dict[str, str]) -> str:
    """Return the rest of a URL, behind user and password.

    The folder of a socket stands in the parameters: that is how the driver reads it.
    """
    named = {name: value for name, value in (("host", place.host), ("port", place.port)) if value}
    is_socket = place.host.startswith("/")
    query = urlencode({**(named if is_socket else {}), **chosen})
    port = f":{place.port}" if place.port else ""
    address = "" if is_socket else f"{place.host}{port}"
    return f"{address}{path}{'?' if query else ''}{query}"


def _quote_user(text: str) -> str:
    """Return user and password so that every reader of URLs understands them alike."""
    user, colon, password = text.partition(":")
    return f"{quote(unquote(user), safe='')}{colon}{quote(unquote(password), safe='')}"


def _check_user(setting: str) -> None:
    """Raise StartRefusedError if nothing says as which role to log in."""
    try:
        os.environ.get("PGUSER") or getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in many containers
        raise StartRefusedError(
            f"{setting} names no role, and the user of this process has no name: "
            "write postgresql://user:password@host:5432/database"
        ) from None


def _check_files(chosen: dict[str, str], setting: str) -> None:
    """Raise StartRefusedError if a file of TLS cannot be read."""
    for name in _FILES:
        if chosen.get(name):
            try:
                with Path(chosen[name]).open("rb"):
                    pass
            except OSError as error:
                raise StartRefusedError(
                    f"{setting}: the file of {name}, {chosen[name]}, cannot be read: "
                    f"{error.strerror}"
                ) from error
