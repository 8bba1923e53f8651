"""For relying parties: verify tokens offline, and refuse revoked ones within a second.

    async with Verifier(issuer="https://auth.example.com", audience="orders-api") as verifier:
        claims = verifier.verify(token)      # synchronous, in memory; raises BearerError

`ThreadedVerifier` does the same in programs without an event loop. The modules `aiohttp`, `asgi`,
`fastapi` and `wsgi` guard applications. With `authorize` and `build_refusal_response` you build an
adapter of your own. `testing` is an issuer for your tests. The service's dependencies are not
needed.
"""

from __future__ import annotations

from tokensvc.core.audit_witness import AuditHeadStatus, DeclaredReset
from tokensvc.core.claims import Claims
from tokensvc.core.errors import (
    BearerError,
    InsufficientScopeError,
    InvalidPageError,
    InvalidTokenError,
    MalformedAuthorizationError,
    MissingTokenError,
    TokensvcError,
    VerifierUnavailableError,
)
from tokensvc.verify._bearer import (
    RefusalResponse,
    VerifiesTokens,
    authorize,
    build_refusal_response,
)
from tokensvc.verify._clock import Clock
from tokensvc.verify._fetch import FetchError, Fetches, JwksAnswer
from tokensvc.verify._threaded import ThreadedVerifier
from tokensvc.verify._verifier import Status, Verifier

__all__ = [
    "AuditHeadStatus",
    "BearerError",
    "Claims",
    "Clock",
    "DeclaredReset",
    "FetchError",
    "Fetches",
    "InsufficientScopeError",
    "InvalidPageError",
    "InvalidTokenError",
    "JwksAnswer",
    "MalformedAuthorizationError",
    "MissingTokenError",
    "RefusalResponse",
    "Status",
    "ThreadedVerifier",
    "TokensvcError",
    "Verifier",
    "VerifierUnavailableError",
    "VerifiesTokens",
    "authorize",
    "build_refusal_response",
]
