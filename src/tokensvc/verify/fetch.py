"""Fetching from the issuer: https unless on loopback, no redirects, bounded in time and size."""

from __future__ import annotations

import asyncio
import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlencode

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType
    from typing import Self, TypeAlias

    FeedToken: TypeAlias = Callable[[], str | Awaitable[str]]

MAX_JWKS_BYTES: Final = 256 * 1024
MAX_PAGE_BYTES: Final = 32 * 1024 * 1024
DEFAULT_MAX_AGE: Final = 300.0
LONGEST_MAX_AGE: Final = 86_400.0  # however long an answer may be kept: a key that was removed must not be trusted for ever

_AGE = re.compile(r"\d{1,9}", re.ASCII)
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})", re.IGNORECASE)
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)  # RFC 6750 section 2.1
_OK, _NOT_MODIFIED = 200, 304


class FetchError(Exception):
    """The issuer did not give a usable answer; the text says why and holds nothing secret."""


@dataclass(frozen=True, slots=True)
class JwksAnswer:
    """A JWKS as fetched; `document` None means that the one we have is still the right one. `age`: seconds that caches have held it."""

    document: bytes | None
    etag: str | None
    max_age: float
    age: float = 0.0


class Fetches(Protocol):
    """What followers need: `Fetcher`, or a stand-in that has no network."""

    async def __aenter__(self) -> Self:
        """Make ready."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give everything back."""

    async def fetch_jwks(self, url: str, etag: str | None) -> JwksAnswer:
        """Fetch the JWKS, or learn that it has not changed since `etag`. Raises FetchError."""

    async def fetch_page(self, url: str, after: str | None, wait: int) -> str:
        """Fetch the denylist page after a cursor, waiting up to `wait` seconds for one. Raises FetchError."""


class Fetcher:
    """One HTTP session to one issuer. `feed_token`: gives the token that the feed, and it alone, is shown."""

    def __init__(
        self, *, timeout: float, follower: str | None = None, feed_token: FeedToken | None = None
    ) -> None:
        self._timeout = timeout
        self._follower = follower
        self._feed_token = feed_token
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session."""
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def fetch_jwks(self, url: str, etag: str | None) -> JwksAnswer:
        """Fetch the JWKS, or learn that it has not changed since `etag`. Raises FetchError."""
        headers = {} if etag is None else {"If-None-Match": etag}
        status, received, body = await self._get(url, headers, MAX_JWKS_BYTES, self._timeout)
        unchanged = status == _NOT_MODIFIED and etag is not None
        if status != _OK and not unchanged:
            raise FetchError(f"the issuer answered {status} to the request for its JWKS")
        max_age, age = _read_ages(received)
        return JwksAnswer(
            None if unchanged else body,
            received.get("ETag", etag if unchanged else None),
            max_age,
            age,
        )

    async def fetch_page(self, url: str, after: str | None, wait: int) -> str:
        """Fetch the denylist page after a cursor, waiting up to `wait` seconds for one. Raises FetchError."""
        query = {} if after is None else {"after": after, "wait": str(wait)}
        if query and self._follower:
            query["follower"] = self._follower  # so that its next question is a receipt
        target = f"{url}?{urlencode(query)}" if query else url
        status, _, body = await self._get(
            target,
            await self._feed_headers(),
            MAX_PAGE_BYTES,
            self._timeout + (wait if query else 0),
        )
        if status != _OK:
            raise FetchError(f"the issuer answered {status} to the request for its denylist")
        return body.decode("ascii", "replace")

    async def _feed_headers(self) -> dict[str, str]:
        if self._feed_token is None:
            return {}
        try:
            async with asyncio.timeout(self._timeout):
                token = await _call(self._feed_token)
        except Exception as error:  # a function of the caller's may raise anything
            raise FetchError(f"feed_token failed: {type(error).__name__}") from error
        if not isinstance(token, str) or not _BEARER.fullmatch(token):
            raise FetchError("feed_token gave something that is no token")
        return {"Authorization": f"Bearer {token}"}

    async def _get(
        self, url: str, headers: dict[str, str], most: int, seconds: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        if self._session is None:
            raise FetchError("the verifier has not been started")
        try:
            async with (
                asyncio.timeout(seconds),
                self._session.get(url, headers=headers, allow_redirects=False) as response,
            ):
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > most:
                        raise FetchError(f"the answer is larger than {most} bytes")
                return response.status, response.headers, bytes(body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise FetchError(f"the issuer cannot be reached: {type(error).__name__}") from error


async def _call(function: FeedToken) -> object:
    """Return what a function gives, async or not; one that is not may take its time, so it runs in a thread."""
    given = (
        function() if inspect.iscoroutinefunction(function) else await asyncio.to_thread(function)
    )
    return await given if inspect.isawaitable(given) else given


def _read_ages(headers: Mapping[str, str]) -> tuple[float, float]:
    """Return for how long an answer may be kept, and for how long caches have kept it already (RFC 9111 sections 4.2.1, 5.1)."""
    max_age, age = _MAX_AGE.search(headers.get("Cache-Control", "")), headers.get("Age", "")
    kept = float(age) if _AGE.fullmatch(age) else 0.0
    return DEFAULT_MAX_AGE if max_age is None else min(LONGEST_MAX_AGE, float(max_age[1])), kept
