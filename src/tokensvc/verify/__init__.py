"""For relying parties: verify tokens offline, in memory, and refuse revoked ones within a second.

    async with Verifier(issuer="https://auth.example.com", audience="orders-api") as verifier:
        claims = verifier.verify(token)      # synchronous; raises BearerError

Needs none of the service's dependencies. `tokensvc.verify.aiohttp` guards an aiohttp application.
"""

from __future__ import annotations

from tokensvc.core.claims import Claims
from tokensvc.core.errors import (
    BearerError,
    InsufficientScopeError,
    InvalidTokenError,
    MalformedAuthorizationError,
    MissingTokenError,
    VerifierUnavailableError,
)
from tokensvc.verify.verifier import Status, Verifier

__all__ = [
    "BearerError",
    "Claims",
    "InsufficientScopeError",
    "InvalidTokenError",
    "MalformedAuthorizationError",
    "MissingTokenError",
    "Status",
    "Verifier",
    "VerifierUnavailableError",
]
