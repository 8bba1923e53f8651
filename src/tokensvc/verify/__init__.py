"""For relying parties: verify tokens offline, in memory, and refuse revoked ones within a second.

    async with Verifier(issuer="https://auth.example.com", audience="orders-api") as verifier:
        claims = verifier.verify(token)      # synchronous; raises BearerError

`ThreadedVerifier` is the same for programs without an event loop. Needs none of the service's dependencies. The adapters `aiohttp`, `asgi`,
`fastapi` and `wsgi` guard applications; `testing` is an issuer for your tests.
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
from tokensvc.verify.threaded import ThreadedVerifier
from tokensvc.verify.verifier import Status, Verifier

__all__ = [
    "BearerError",
    "Claims",
    "InsufficientScopeError",
    "InvalidTokenError",
    "MalformedAuthorizationError",
    "MissingTokenError",
    "Status",
    "ThreadedVerifier",
    "Verifier",
    "VerifierUnavailableError",
]
