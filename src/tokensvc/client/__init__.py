"""For key holders: get tokens with an API key, and send them where they belong.

    async with TokenSource(issuer="https://auth.example.com", api_key=Path("/run/secrets/key"), audience="orders-api") as source:
        token = await source.get_token()      # kept, refreshed early, one exchange for all who ask

`ThreadedTokenSource` is the same without asyncio. `tokensvc.client.aiohttp`, `.httpx` and `.requests` put tokens on requests.
Needs none of the service's dependencies, and httpx or requests only if their adapter is imported.
"""

from __future__ import annotations

from tokensvc.client.api_key import KeyFromEnvironment, KeyFromFile
from tokensvc.client.errors import (
    BodyNotRepeatableError,
    ExchangeRefusedError,
    HostNotAllowedError,
    IssuerUnavailableError,
    KeyRejectedError,
    KeyUnreadableError,
    RateLimitedByIssuerError,
    SourceClosedError,
)
from tokensvc.client.source import TokenSource
from tokensvc.client.threaded import ThreadedTokenSource

__all__ = [
    "BodyNotRepeatableError",
    "ExchangeRefusedError",
    "HostNotAllowedError",
    "IssuerUnavailableError",
    "KeyFromEnvironment",
    "KeyFromFile",
    "KeyRejectedError",
    "KeyUnreadableError",
    "RateLimitedByIssuerError",
    "SourceClosedError",
    "ThreadedTokenSource",
    "TokenSource",
]
