"""One short life of a verifier."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.simulator import START, SimulatedIssuer, reason_of

if TYPE_CHECKING:
    from pathlib import Path


async def live_once(issuer: SimulatedIssuer, path: Path) -> str:
    """Run a verifier for a moment; return a token that it has refused as revoked."""
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        token, claims = issuer.issue(exp=START + 7200)
        issuer.add_revocation("jti", claims.jti, life=7320)
        await asyncio.sleep(1)
        assert reason_of(verifier, token) == "revoked_jti"
    return token
