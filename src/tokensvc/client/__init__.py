"""For holders of an API key: get tokens, and put them on requests.

    async with TokenSource(issuer="https://auth.example.com", api_key=Path("/run/key")) as source:
        token = await source.get_token()

A source keeps its tokens, refreshes them early, and asks the issuer once however many callers
wait. `ThreadedTokenSource` is the same source for programs without asyncio. The modules
`tokensvc.client.aiohttp`, `.httpx` and `.requests` put the tokens on requests. httpx and requests
are imported by their own module only. Modules whose names begin with `_` are internal.
"""

from __future__ import annotations

from tokensvc.client._errors import (
    BodyNotRepeatableError,
    ExchangeRefusedError,
    HostNotAllowedError,
    IssuerUnavailableError,
    KeyRejectedError,
    KeyUnreadableError,
    RateLimitedByIssuerError,
    SourceClosedError,
)
from tokensvc.client._key_reader import KeyFromEnvironment, KeyFromFile
from tokensvc.client._source import TokenSource
from tokensvc.client._threaded import ThreadedTokenSource
from tokensvc.core.errors import TokensvcError

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
    "TokensvcError",
]
