from __future__ import annotations

from unittest.mock import Mock

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from tokensvc.web.client_address import find_network, warn_of_proxy


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("::1", "::/48"),
        ("", "unknown"),
        ("unix:", "unknown"),
        ("192.0.2.77:8080", "192.0.2.0/24"),
        ("[2001:db8:1:2::3]:8080", "2001:db8:1::/48"),
        ("[2001:db8:1:2::3]", "2001:db8:1::/48"),
        ('"[2001:db8:1:2::3]:8080"', "2001:db8:1::/48"),
        ("192.0.2.77:", "unknown"),
        ("192.0.2.77:8080:1", "unknown"),
        ("fe80::1%eth0", "fe80::/48"),
    ],
)
def test_an_address_stands_for_its_network(address, network):
    assert find_network(ask(("X-Forwarded-For", address)), 1) == network


@pytest.mark.parametrize(
    ("hops", "forwarded", "network"),
    [
        (0, ["198.51.100.9"], "127.0.0.0/24"),
        (1, ["198.51.100.9"], "198.51.100.0/24"),
        (1, ["203.0.113.1, 198.51.100.9"], "198.51.100.0/24"),
        (2, ["203.0.113.1, 198.51.100.9"], "203.0.113.0/24"),
        (2, ["203.0.113.1", "198.51.100.9"], "203.0.113.0/24"),
        (2, ["198.51.100.9"], "unknown"),
        (1, [], "unknown"),
        (1, ["junk"], "unknown"),
        (1, ["203.0.113.1, 198.51.100.9:567"], "198.51.100.0/24"),
    ],
    ids=[
        "off",
        "one proxy",
        "a client that writes its own",
        "two proxies",
        "two headers",
        "too few",
        "none",
        "junk",
        "a port behind it",
    ],
)
def test_only_what_our_own_proxies_wrote_is_believed(hops, forwarded, network):
    assert find_network(ask(*(("X-Forwarded-For", line) for line in forwarded)), hops) == network


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded"])
def test_a_forwarded_header_that_is_not_read_is_warned_of_once(name, logs):
    warn_of_proxy.cache_clear()
    find_network(ask(), 0)
    find_network(ask((name, "for=198.51.100.9")), 1)
    assert logs.find("forwarded_header_not_trusted") == []
    for _ in range(3):
        find_network(ask((name, "for=198.51.100.9")), 0)
    (line,) = logs.find("forwarded_header_not_trusted")
    assert line["level"] == "warning"
    assert "TOKENSVC_TRUSTED_PROXY_HOPS" in line["detail"]


def ask(*headers):
    """Return a request from loopback with these headers."""
    transport = Mock(
        get_extra_info=lambda name, default=None: (
            ("127.0.0.1", 1) if name == "peername" else default
        )
    )
    return make_mocked_request(
        "POST", "/v1/token", headers=CIMultiDict(headers), transport=transport
    )
