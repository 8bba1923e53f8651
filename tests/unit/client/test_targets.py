"""Where a token may be sent."""

from __future__ import annotations

import pytest

from tokensvc.client import HostNotAllowedError
from tokensvc.client._targets import Targets

ALLOWED = {"api.example.com", "Other.Example.com:8443", "127.0.0.1", "[::1]:8080"}


@pytest.mark.parametrize(
    ("scheme", "host", "port"),
    [
        ("https", "api.example.com", None),
        ("https", "API.example.COM", 443),
        ("https", "api.example.com", 8443),
        ("https", "other.example.com", 8443),
        ("http", "127.0.0.1", 5000),
        ("https", "127.0.0.1", None),
        ("http", "::1", 8080),
    ],
)
def test_a_token_goes_to_the_hosts_that_were_named(scheme, host, port):
    assert Targets(ALLOWED).cover(scheme, host, port)


@pytest.mark.parametrize(
    ("scheme", "host", "port"),
    [
        ("https", "example.com", None),
        ("https", "evil.api.example.com", None),
        ("https", "api.example.com.evil.com", None),
        ("https", "api.example.com.", None),
        ("https", "other.example.com", None),
        ("https", "other.example.com", 443),
        ("http", "api.example.com", None),
        ("http", "api.example.com", 443),
        ("ftp", "api.example.com", None),
        ("http", "localhost", 5000),
        ("http", "::1", None),
        ("http", "", None),
    ],
)
def test_a_token_goes_nowhere_else(scheme, host, port):
    with pytest.raises(HostNotAllowedError) as raised:
        Targets(ALLOWED).cover(scheme, host, port)
    assert "no token" in raised.value.message
    assert not Targets(ALLOWED, "no_token").cover(scheme, host, port)


NO_HOSTS = (
    "",
    "https://api.example.com",
    "api.example.com/v1",
    "*.example.com",
    "a:b",
    "u@a",
    "bücher.de",
    "[::1",
)


@pytest.mark.parametrize("hosts", ["api.example.com", set(), *({entry} for entry in NO_HOSTS)])
def test_an_entry_that_is_not_a_host_is_refused_by_the_constructor(hosts):
    with pytest.raises(ValueError, match="allowed_hosts"):
        Targets(hosts)


def test_an_unknown_value_of_elsewhere_is_refused_by_the_constructor():
    with pytest.raises(ValueError, match="elsewhere must be"):
        Targets(ALLOWED, "allow")  # type: ignore[arg-type]
