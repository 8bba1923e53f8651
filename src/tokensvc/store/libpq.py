"""The parameters of libpq, and what becomes of each of them in a URL.

URLs are written for libpq, and our driver knows a part of it. What changes nothing is dropped, what
matters is honoured, and the rest is refused by its name.
"""

from __future__ import annotations

import difflib
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# The driver reads these itself.
_HONOURED: Final = frozenset(
    {
        "host",
        "port",
        "dbname",
        "database",
        "user",
        "password",
        "passfile",
        "service",
        "options",
        "sslmode",
        "sslnegotiation",
        "sslcert",
        "sslkey",
        "sslpassword",
        "sslrootcert",
        "sslcrl",
        "ssl_min_protocol_version",
        "ssl_max_protocol_version",
        "krbsrvname",
        "gsslib",
    }
)
# The service has time limits and a name of its own, and chooses the host itself.
_DROPPED: Final = frozenset(
    {
        "connect_timeout",
        "keepalives",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "tcp_user_timeout",
        "sslcompression",
        "application_name",
        "fallback_application_name",
        "load_balance_hosts",
        "gssdelegation",
        "min_protocol_version",
        "max_protocol_version",
    }
)
# Which values change nothing, and why others cannot be had.
_HARMLESS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = MappingProxyType(
    {
        "gssencmode": (("disable", "prefer"), "connections cannot be encrypted by GSSAPI here"),
        "channel_binding": (("disable", "prefer", "require"), "libpq knows no other value"),
        "target_session_attrs": (
            ("any", "read-write", "primary"),
            "the service writes, and finds the primary itself",
        ),
        "client_encoding": (("auto", "utf8", "utf-8", "unicode"), "the service speaks UTF-8"),
        "replication": (("false", "off", "no", "0"), "the service does not replicate"),
        "sslcertmode": (("allow",), "only `allow` is possible"),
        "sslsni": (("1",), "the name of the host is always sent"),
    }
)
_REFUSED: Final = frozenset(
    {
        "require_auth",
        "requirepeer",
        "requiressl",
        "sslcrldir",
        "sslkeylogfile",
        "hostaddr",
        "scram_client_key",
        "scram_server_key",
        "servicefile",
        "oauth_issuer",
        "oauth_client_id",
        "oauth_client_secret",
        "oauth_scope",
    }
)
_KNOWN: Final = sorted(_HONOURED | _DROPPED | _REFUSED | _HARMLESS.keys())


def choose_parameters(
    pairs: Iterable[tuple[str, str]], system_ca: str | None
) -> Sequence[tuple[str, str]]:
    """Return the parameters that the driver is given.

    `system_ca`: the file of the certificate authorities that this machine trusts. Raises ValueError
    for a parameter that cannot be honoured; the message names it and never the value of a secret.
    """
    given = dict(pairs)
    for name, value in given.items():
        check_parameter(name, value)
    chosen = {name: value for name, value in given.items() if name in _HONOURED}
    if given.get("channel_binding") == "require":
        _demand_certificate(chosen)
    if chosen.get("sslrootcert") == "system":
        if system_ca is None:
            raise ValueError("sslrootcert=system finds no certificate authorities on this machine")
        chosen["sslrootcert"] = system_ca
    return list(chosen.items())


def check_parameter(name: str, value: str) -> None:
    """Raise ValueError unless the parameter can be honoured, or changes nothing."""
    if name == "sslmode" and value not in SSL_MODES:
        raise ValueError(f"sslmode is one of {', '.join(SSL_MODES)}{_suggest(value, SSL_MODES)}")
    if name in _HARMLESS:
        values, why = _HARMLESS[name]
        if value.lower() not in values:
            raise ValueError(f"{name} may be {' or '.join(values)}: {why}")
    elif name in _REFUSED:
        raise ValueError(f"{name} cannot be honoured; leave it out")
    elif name not in _HONOURED | _DROPPED:
        raise ValueError(
            f"{name[:40]!r} is no parameter of libpq{_suggest(name, _KNOWN)}; a setting of the "
            "server is given as options=-c%20NAME=VALUE"
        )


def _demand_certificate(chosen: dict[str, str]) -> None:
    """Demand what `channel_binding=require` is for, that nobody stands in between, by TLS alone."""
    chosen["sslmode"] = "verify-full"
    chosen.setdefault("sslrootcert", "system")


def _suggest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""
