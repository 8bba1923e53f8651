from __future__ import annotations

import pytest

from tokensvc.core.url import check_secure_url, is_wildcard, parse_issuer


@pytest.mark.parametrize(
    "url",
    [
        "https://issuer.example",
        "https://issuer.example:8443/path",
        "HTTPS://issuer.example",
        "http://127.0.0.1:8080",
        "http://localhost",
        "http://[::1]:8080/v1",
    ],
)
def test_https_and_loopback_are_safe(url):
    assert check_secure_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example",
        "http://127.0.0.1.example",
        "http://localhost@issuer.example",
        "http://10.0.0.1",
    ],
)
def test_plain_http_to_anywhere_else_is_refused(url):
    with pytest.raises(ValueError, match="must be https"):
        check_secure_url(url)


def test_plain_http_is_taken_where_it_is_allowed():
    assert check_secure_url("http://tokensvc:8080", allow_http=True) == "http://tokensvc:8080"
    with pytest.raises(ValueError, match="no http"):
        check_secure_url("ftp://tokensvc", allow_http=True)


@pytest.mark.parametrize(
    "url", ["", "issuer.example", "ftp://issuer.example", "https://", "file:///x"]
)
def test_what_is_no_http_url_is_refused(url):
    with pytest.raises(ValueError, match="is no http"):
        check_secure_url(url)


@pytest.mark.parametrize(
    ("text", "issuer"),
    [
        ("https://tokens.example", "https://tokens.example"),
        (" https://tokens.example/ \n", "https://tokens.example"),
        ("HTTPS://Tokens.Example:443/Auth/", "https://tokens.example/Auth"),
        ("http://[::1]:80", "http://[::1]"),
        ("https://tokens.example:8443//", "https://tokens.example:8443"),
    ],
)
def test_an_issuer_is_written_in_one_way(text, issuer):
    assert parse_issuer(text) == issuer


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://tokens example", "holds ' ', which no URL has"),
        ("https://tokens.example\n/a", r"holds '\\n'"),
        ("https://{tenant}.example", "holds '{'"),
        ("https://töken.example", "holds 'ö'"),
        ("https://user:geheim@tokens.example", "must not hold a user or a password"),
        ("https://tokens.example?", "without query and fragment"),
        ("https://tokens.example/a#b", "without query and fragment"),
        ("https://tokens.example:port", "must be an http"),
        ("https://[::1", "must be an http"),
        ("ftp://tokens.example", "must be an http"),
        ("tokens.example", "must be an http"),
    ],
)
def test_what_is_no_issuer_is_refused(text, said):
    with pytest.raises(ValueError, match=said) as refusal:
        parse_issuer(text)
    assert "geheim" not in str(refusal.value)


def test_a_wildcard_is_no_address():
    assert [is_wildcard(host) for host in ("0.0.0.0", "::", "127.0.0.1")] == [True, True, False]
