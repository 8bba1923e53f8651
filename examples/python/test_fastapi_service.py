"""A test of the service with FastAPI, without an issuer and without a network.

    ISSUER=http://127.0.0.1:8080 AUDIENCE=api pytest -o asyncio_mode=auto examples/python

It needs pytest-asyncio and httpx. The fixtures are those of `tokensvc.verify.testing_pytest`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from fastapi_service import app, bearer

from tokensvc.verify.fastapi import TokensvcBearer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.verify import Verifier
    from tokensvc.verify.testing import FakeIssuer


async def test_orders_need_the_capability(
    fake_verifier: Verifier, fake_issuer: FakeIssuer, fake_token: Callable[..., str]
) -> None:
    """A good token passes until it is revoked."""
    app.dependency_overrides[bearer] = TokensvcBearer(fake_verifier)
    transport = httpx.ASGITransport(app)  # it does not start the real verifier
    async with httpx.AsyncClient(transport=transport, base_url="http://orders") as client:

        async def status(token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return (await client.get("/orders", headers=headers)).status_code

        good = fake_token(scope="orders:read")
        assert await status(good) == 200
        assert await status(fake_token(scope="orders:write")) == 403
        assert await status(fake_issuer.expired_token()) == 401
        fake_issuer.revoke(token=good)
        assert await status(good) == 401
