"""Sending one notice to a receiver on the web, signed as Standard Webhooks says.

The name is looked up once, the addresses are judged, and the connection goes to an address that was
judged: between the two nobody can put another one in. Redirects are not followed, proxies in the
environment are not used, and of the response only the status is read.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

import aiohttp
from standardwebhooks import Webhook
from yarl import URL

from tokensvc import __version__
from tokensvc.core.notices.destination import is_allowed_apart, may_connect
from tokensvc.core.notices.payload import build_body
from tokensvc.store.notice_delivery import AttemptOutcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from tokensvc.core.notices.destination import Network
    from tokensvc.core.notices.event import Notice

    Resolve = Callable[[str, int], Awaitable[list[str]]]

SECONDS: Final = 10.0

_MOST_ADDRESSES: Final = 3  # that are tried
_BUFFER: Final = 2**15  # twice that is the most that is taken of a response
_FIRST_GOOD: Final = 200
_FIRST_REDIRECT: Final = 300
_FIRST_ERROR: Final = 400
_GONE: Final = 410


class WebhookSender:
    """Sends notices.

    `allowed`: networks of the operator that may be reached although they are not public.
    `resolve`: how a name becomes addresses. `tls`: whom to believe, the system's list by default.
    """

    def __init__(
        self,
        resolve: Resolve,
        *,
        allowed: Sequence[Network] = (),
        tls: ssl.SSLContext | None = None,
        seconds: float = SECONDS,
    ) -> None:
        self._resolve = resolve
        self._allowed = allowed
        self._tls = tls
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self, url: str, secrets: Sequence[str], notice: Notice, now: datetime
    ) -> AttemptOutcome:
        """Send a notice, signed with each of the secrets; return how it ended."""
        body = build_body(notice)
        signatures = [Webhook(secret).sign(notice.id, now, body) for secret in secrets]
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"tokensvc/{__version__}",
            "Webhook-Id": notice.id,
            "Webhook-Timestamp": str(int(now.timestamp())),
            "Webhook-Signature": " ".join(signatures),
        }
        try:
            async with asyncio.timeout(self._seconds):
                return await self._post(URL(url), headers, body.encode("utf-8"))
        except TimeoutError:
            return AttemptOutcome(is_delivered=False, error="timeout")
        except (aiohttp.ClientSSLError, ssl.SSLError):
            return AttemptOutcome(is_delivered=False, error="tls")
        except (aiohttp.ClientError, OSError, ValueError):
            return AttemptOutcome(is_delivered=False, error="no_answer")

    async def _post(self, url: URL, headers: dict[str, str], body: bytes) -> AttemptOutcome:
        host, port = url.raw_host or "", url.port or 0
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError):
            return AttemptOutcome(is_delivered=False, error="unknown_host")
        addresses = [address for address in found if self._may_connect(url, address)]
        if not addresses:
            return AttemptOutcome(is_delivered=False, error="address_refused")
        headers["Host"] = url.host_port_subcomponent or host
        # Another address is tried only if no connection was made: whatever was sent may have
        # arrived.
        *first, last = addresses[:_MOST_ADDRESSES]
        for address in first:
            try:
                return await self._post_to(url.with_host(address), host, headers, body)
            # Somebody answers there with a wrong certificate: another address is no remedy.
            except aiohttp.ClientConnectorSSLError:
                raise
            except aiohttp.ClientConnectorError:
                continue
        return await self._post_to(url.with_host(last), host, headers, body)

    def _may_connect(self, url: URL, address: str) -> bool:
        """Tell whether this address may be used; without TLS only where the operator allows it."""
        if url.scheme == "https":
            return may_connect(address, self._allowed)
        return is_allowed_apart(address, self._allowed)

    async def _post_to(
        self, url: URL, name: str, headers: dict[str, str], body: bytes
    ) -> AttemptOutcome:
        """Post to an address; the certificate must be that of `name`."""
        async with self._open_session().post(
            url,
            data=body,
            headers=headers,
            allow_redirects=False,
            ssl=True if self._tls is None else self._tls,
            server_hostname=name.rstrip(".") if url.scheme == "https" else None,
        ) as response:
            return _judge(response.status)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # A connection belongs to one address and one name: none is used again.
                connector=aiohttp.TCPConnector(force_close=True, limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                # Some bytes may become gigabytes, and nothing of the response is read.
                auto_decompress=False,
                trust_env=False,
                read_bufsize=_BUFFER,
            )
        return self._session

    async def close(self) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()


def _judge(status: int) -> AttemptOutcome:
    if _FIRST_GOOD <= status < _FIRST_REDIRECT:
        return AttemptOutcome(is_delivered=True, status=status)
    if _FIRST_REDIRECT <= status < _FIRST_ERROR:
        return AttemptOutcome(is_delivered=False, status=status, error="redirect")
    return AttemptOutcome(
        is_delivered=False, status=status, error="gone" if status == _GONE else "refused"
    )
