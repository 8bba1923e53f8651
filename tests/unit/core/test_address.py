from __future__ import annotations

import pytest

from tokensvc.core.address import check_secure_url


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


@pytest.mark.parametrize(
    "url", ["", "issuer.example", "ftp://issuer.example", "https://", "file:///x"]
)
def test_what_is_no_http_url_is_refused(url):
    with pytest.raises(ValueError, match="is no http"):
        check_secure_url(url)
