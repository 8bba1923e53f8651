"""Where a notice may be sent to: the form of a URL, and the address behind it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokensvc.core.errors import InvalidInputError
from tokensvc.core.notices.destination import (
    find_mail_address,
    is_allowed_apart,
    may_connect,
    parse_destination,
    parse_networks,
)

PUBLIC = ["93.184.216.34", "1.1.1.1", "2606:2800:220:1:248:1893:25c8:1946"]
# One address of each block that is not one host in the public network.
OTHERS = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.9.9.9", "169.254.169.254",
    "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::127.0.0.1", "64:ff9b:1::1", "100::1", "2001::1",
    "2001:db8::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1",
    "ff0e::1",
]  # fmt: skip
WRAPPED = {
    "mapped": lambda inner: ipaddress.IPv6Address((0xFFFF << 32) | int(inner)),
    "NAT64": lambda inner: ipaddress.IPv6Address((0x64FF9B << 96) | int(inner)),
    "6to4": lambda inner: ipaddress.IPv6Address((0x2002 << 112) | (int(inner) << 80) | 1),
}
anything = st.ip_addresses()


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_connected_to(address):
    assert may_connect(address)


@pytest.mark.parametrize("address", [*OTHERS, "", "localhost", "1.2.3", "2130706433", "0x7f.1"])
def test_no_other_address_may_be_connected_to_nor_what_is_no_address(address):
    assert not may_connect(address)


@pytest.mark.parametrize("form", WRAPPED)
def test_an_address_inside_another_one_is_judged_as_what_it_is(form):
    for inner in [ipaddress.IPv4Address(text) for text in [*PUBLIC[:2], *OTHERS[:19]]]:
        may = may_connect(str(inner)) and form != "6to4"  # which nobody needs any more
        assert may_connect(str(WRAPPED[form](inner))) == may, inner


@given(anything)
def test_whatever_is_not_global_is_refused_also_inside_another_address(address):
    if not address.is_global and getattr(address, "ipv4_mapped", None) is None:
        assert not may_connect(str(address)) or address in ipaddress.ip_network("64:ff9b::/96")
        if address.version == 4:
            assert not any(may_connect(str(wrap(address))) for wrap in WRAPPED.values())


@given(anything, anything)
@example(ipaddress.IPv4Address("0.0.0.0"), ipaddress.IPv6Address("::ffff:0.0.0.0"))
def test_only_the_networks_that_are_allowed_open_anything(address, other):
    other = getattr(other, "ipv4_mapped", None) or other  # both forms name one address
    if address != other and not may_connect(str(address)):
        allowed = parse_networks(str(other))
        inner = {str(getattr(address, name, None)) for name in ("ipv4_mapped", "sixtofour")}
        if address in ipaddress.ip_network("64:ff9b::/96"):
            inner.add(str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)))
        assert not may_connect(str(address), allowed) or str(other) in inner


def test_what_the_operator_allows_may_be_connected_to_in_every_form():
    allowed = parse_networks("127.0.0.0/8, fd00::/8 10.1.2.3")
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "fd00::1", "10.1.2.3", "64:ff9b::7f00:1"):
        assert may_connect(address, allowed)
        assert is_allowed_apart(address, allowed)
    assert not may_connect("10.1.2.4", allowed)
    assert not is_allowed_apart("1.1.1.1", allowed)


def test_a_network_of_ipv4_that_is_written_as_ipv6_is_the_one_of_ipv4():
    allowed = parse_networks("::ffff:10.1.2.3 ::ffff:127.0.0.0/104")
    assert [str(network) for network in allowed] == ["10.1.2.3/32", "127.0.0.0/8"]
    assert may_connect("10.1.2.3", allowed)


@pytest.mark.parametrize("text", ["10.0.0.0/99", "10.0.0.1/8", "10.0.0.0/255.0.0.0", "fe80::%a/64"])
def test_a_network_that_is_none_is_refused(text):
    with pytest.raises(InvalidInputError):
        parse_networks(f"192.0.2.0/24,{text}")


@pytest.mark.parametrize(
    ("url", "kind", "host"),
    [
        ("https://hooks.example/a?b=c", "webhook", "hooks.example"),
        ("https://hooks.example:8443/", "webhook", "hooks.example"),
        ("HTTPS://[2606::1]/x", "webhook", "2606::1"),
        ("mailto:ops@example.com", "mail", "example.com"),
        ("MAILTO:Jo.Ops+x@Mail.Example.COM", "mail", "mail.example.com"),
    ],
)
def test_a_receiver_is_a_url_or_a_mailbox(url, kind, host):
    receiver = parse_destination(url, http_allowed=False)
    assert (receiver.kind, receiver.host) == (kind, host)
    assert (find_mail_address(receiver.url) is not None) == (kind == "mail")


@pytest.mark.parametrize(
    "url",
    [
        "", "hooks.example", "http://hooks.example/", "ftp://hooks.example/", "https://",
        "https:///x", "https://user@hooks.example/", "https://u:p@hooks.example/",
        "https://hooks.example/#x", "https://hooks.example:99999/", "https://[::1/",
        "https://hooks.example/a b", "https://hooks.example/\n", "https://h\u00f6oks.example/",
        "https://hooks.example/" + "x" * 2000, "mailto:", "mailto:ops", "mailto:ops@localhost",
        "mailto:ops@example.com,jo@example.com", "mailto:ops@example.com?cc=jo@example.com",
        "mailto:Ops <ops@example.com>", "mailto:" + "x" * 65 + "@example.com",
        "file:///etc/passwd", "gopher://127.0.0.1:25/",
    ],
)  # fmt: skip
def test_anything_else_is_no_receiver(url):
    with pytest.raises(InvalidInputError):
        parse_destination(url, http_allowed=False)


def test_http_is_possible_where_networks_are_allowed():
    assert parse_destination("http://10.1.2.3/x", http_allowed=True).kind == "webhook"
