"""Fixtures for pytest.

Put `pytest_plugins = ["tokensvc.verify.testing_pytest"]` into your topmost conftest.py, and give
`fake_verifier` to your application. Then:

    def test_orders_need_a_capability(client, fake_token):
        headers = {"Authorization": f"Bearer {fake_token(scope='other')}"}
        assert client.get("/orders", headers=headers).status_code == 403
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokensvc.verify.testing import FakeIssuer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.verify._verifier import Verifier


@pytest.fixture
def fake_issuer() -> FakeIssuer:
    """An issuer for this test only."""
    return FakeIssuer()


@pytest.fixture
def fake_token(fake_issuer: FakeIssuer) -> Callable[..., str]:
    """Makes tokens: `fake_token(scope="orders:read")`."""
    return fake_issuer.token


@pytest.fixture
def fake_verifier(fake_issuer: FakeIssuer) -> Verifier:
    """A verifier of those tokens that is ready."""
    return fake_issuer.verifier()
