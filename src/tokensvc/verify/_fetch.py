"""Fetches from the issuer: https or loopback only, no redirects, limits of time and size."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlencode

import aiohttp

from tokensvc.core.denylist.page import MOST_PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from types import TracebackType
    from typing import Self, TypeAlias

    FeedToken: TypeAlias = Callable[[], str | Awaitable[str]]

# A JWKS holds 100 keys at most, and one of RSA with 4096 bits takes less than 1 KB.
MAX_JWKS_BYTES: Final = 256 * 1024
# An answer about one event has less than 1 KB.
_MAX_AUDIT_BYTES: Final = 16 * 1024
# Seconds that keys are kept if the answer does not say for how long.
DEFAULT_MAX_AGE: Final = 300.0
# A program that ends must not wait long for a courtesy.
_GOODBYE_SECONDS: Final = 1.0
# A key that was removed must stop being trusted some day, whatever max-age an answer states.
_LONGEST_MAX_AGE: Final = 86_400.0

_AGE: Final = re.compile(r"\d{1,9}", re.ASCII)
_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})", re.IGNORECASE)
_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)  # RFC 6750 section 2.1
_OK, _NOT_MODIFIED = 200, 304


class FetchError(Exception):
    """The issuer gave no usable answer. The text says why, and holds nothing secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwksAnswer:
    """An answer to the request for the JWKS.

    `document`: None if the one that the caller has is still current. `max_age`: seconds for which
    the keys may be kept. `age`: seconds that the answer has spent in caches on the way.
    """

    document: bytes | None
    etag: str | None
    max_age: float
    age: float = 0.0


class Fetches(Protocol):
    """What a verifier needs to reach its issuer: a `Fetcher`, or your own replacement of it."""

    async def __aenter__(self) -> Self:
        """Open what is needed."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close everything."""

    async def fetch_jwks(self, url: str, etag: str | None) -> JwksAnswer:
        """Return the JWKS, or that it has not changed since `etag`. Raises FetchError."""

    async def fetch_page(self, url: str, after: str | None, wait: int) -> str:
        """Return the denylist page after a cursor, or the page with everything if it is None.

        The issuer may wait up to `wait` seconds for news. Raises FetchError.
        """

    async def fetch_audit_head(self, url: str, number: int) -> str:
        """Return what the issuer says of one event of its audit trail. Raises FetchError."""


class Fetcher:
    """An HTTP session with one issuer.

    `timeout`: seconds for one request, besides the wait of a long poll. `follower`: the name under
    which the issuer notes what this follower has applied. `feed_token`: gives the token for the
    feed; nothing else is sent that token.
    """

    def __init__(
        self, *, timeout: float, follower: str | None = None, feed_token: FeedToken | None = None
    ) -> None:
        self._timeout = timeout
        self._follower = follower
        self._feed_token = feed_token
        self._session: aiohttp.ClientSession | None = None
        self._known_at: str | None = None  # the feed that knows this follower by its name

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
        """Say goodbye to the feed, and close the session."""
        if self._session is not None:
            await self._say_goodbye(self._session)
            await self._session.close()
            self._session = None

    async def _say_goodbye(self, session: aiohttp.ClientSession) -> None:
        """Let the issuer forget this follower: it must not look like one that lags.

        This is a courtesy. If it fails, the issuer forgets the follower by itself later.
        """
        if self._known_at is None or not self._follower:
            return
        url, self._known_at = f"{self._known_at}?{urlencode({'follower': self._follower})}", None
        with contextlib.suppress(FetchError, aiohttp.ClientError, TimeoutError, OSError):
            async with asyncio.timeout(min(self._timeout, _GOODBYE_SECONDS)):
                headers = await self._build_feed_headers()
                async with session.delete(url, headers=headers, allow_redirects=False):
                    pass

    async def fetch_jwks(self, url: str, etag: str | None) -> JwksAnswer:
        """Return the JWKS, or that it has not changed since `etag`. Raises FetchError."""
        headers = {} if etag is None else {"If-None-Match": etag}
        status, received, body = await self._get(
            url, headers, max_bytes=MAX_JWKS_BYTES, seconds=self._timeout
        )
        unchanged = status == _NOT_MODIFIED and etag is not None
        if status != _OK and not unchanged:
            raise FetchError(f"the issuer answered {status} to the request for its JWKS")
        max_age, age = _read_ages(received)
        return JwksAnswer(
            document=None if unchanged else body,
            # Some servers leave the ETag out of a 304: then the one that was sent still holds.
            etag=received.get("ETag", etag if unchanged else None),
            max_age=max_age,
            age=age,
        )

    async def fetch_page(self, url: str, after: str | None, wait: int) -> str:
        """Return the denylist page after a cursor, or the page with everything if it is None.

        The issuer may wait up to `wait` seconds for news. Raises FetchError.
        """
        seconds = self._timeout
        if after is not None:
            query = {"after": after, "wait": str(wait)}
            if self._follower:
                query["follower"] = self._follower  # makes this request a receipt
                self._known_at = url
            url = f"{url}?{urlencode(query)}"
            seconds += wait
        headers = await self._build_feed_headers()
        status, _, body = await self._get(url, headers, max_bytes=MOST_PAGE_BYTES, seconds=seconds)
        if status != _OK:
            raise FetchError(f"the issuer answered {status} to the request for its denylist")
        # A character that is not ASCII becomes one that no JWS has, and is refused as that.
        return body.decode("ascii", "replace")

    async def fetch_audit_head(self, url: str, number: int) -> str:
        """Return what the issuer says of one event of its audit trail. Raises FetchError."""
        headers = await self._build_feed_headers()
        status, _, body = await self._get(
            f"{url}?{urlencode({'number': number})}",
            headers,
            max_bytes=_MAX_AUDIT_BYTES,
            seconds=self._timeout,
        )
        if status != _OK:
            raise FetchError(f"the issuer answered {status} to a question about its audit trail")
        return body.decode("ascii", "replace")

    async def _build_feed_headers(self) -> dict[str, str]:
        if self._feed_token is None:
            return {}
        try:
            async with asyncio.timeout(self._timeout):
                token = await _call(self._feed_token)
        except Exception as error:  # the function is the user's: it may raise anything
            raise FetchError(f"feed_token failed: {type(error).__name__}") from error
        if not isinstance(token, str) or not _BEARER.fullmatch(token):
            raise FetchError("feed_token returned something that is not a token")
        return {"Authorization": f"Bearer {token}"}

    async def _get(
        self, url: str, headers: dict[str, str], *, max_bytes: int, seconds: float
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
                    # It is decompressed already, so a small answer cannot become a large one.
                    body += chunk
                    if len(body) > max_bytes:
                        raise FetchError(f"the answer is larger than {max_bytes} bytes")
                return response.status, response.headers, bytes(body)
        # ValueError: a header that cannot be sent or decoded, or a body that cannot be decoded.
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise FetchError(f"the issuer cannot be reached: {_name(error)}") from error


def _name(error: Exception) -> str:
    """Return what kind of error it is; of one that the system tells, also what it says."""
    told = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    said = f" ({told})" if isinstance(told, OSError) and told.errno is not None else ""
    return f"{type(error).__name__}{said}"


async def _call(function: FeedToken) -> object:
    """Return what a function returns, async or not.

    One that is not async may block, so it runs in a thread.
    """
    returned = (
        function() if inspect.iscoroutinefunction(function) else await asyncio.to_thread(function)
    )
    return await returned if inspect.isawaitable(returned) else returned


def _read_ages(headers: Mapping[str, str]) -> tuple[float, float]:
    """Return the seconds that an answer may be kept, and those that caches have kept it already.

    See RFC 9111 sections 4.2.1 and 5.1.
    """
    max_age, age = _MAX_AGE.search(headers.get("Cache-Control", "")), headers.get("Age", "")
    kept = float(age) if _AGE.fullmatch(age) else 0.0
    return DEFAULT_MAX_AGE if max_age is None else min(_LONGEST_MAX_AGE, float(max_age[1])), kept
