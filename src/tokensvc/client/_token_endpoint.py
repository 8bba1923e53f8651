"""One request to the token endpoint with aiohttp, limited in time and size.

It follows no redirects and uses no proxy, so the API key goes to the issuer and nowhere else.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from tokensvc.client._failure import Failure
from tokensvc.client._response import MAX_BODY_BYTES, ExchangeResponse, NoResponse, judge
from tokensvc.core.api_key import ApiKey
from tokensvc.core.errors import InvalidClientError, InvalidRequestError, UnavailableError
from tokensvc.core.url import check_secure_url

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

_SECONDS: Final = 10.0


async def post_form(
    url: str,
    key: ApiKey,
    form: Mapping[str, str],
    *,
    seconds: float,
    clock: Callable[[], float],
    tls: ssl.SSLContext | None = None,
) -> ExchangeResponse | NoResponse:
    """Send one exchange to `url`, and return the response.

    Each call has a session of its own: exchanges are minutes apart, and a session would belong to
    one event loop.
    """
    return await _post(url, key, {"data": dict(form)}, {}, seconds=seconds, clock=clock, tls=tls)


async def post_json(
    url: str,
    key: ApiKey,
    *,
    headers: Mapping[str, str],
    seconds: float,
    clock: Callable[[], float],
    tls: ssl.SSLContext | None = None,
) -> ExchangeResponse | NoResponse:
    """Send an empty JSON object to `url`, and return the response."""
    return await _post(url, key, {"json": {}}, headers, seconds=seconds, clock=clock, tls=tls)


async def _post(
    url: str,
    key: ApiKey,
    body: Mapping[str, Any],
    more: Mapping[str, str],
    *,
    seconds: float,
    clock: Callable[[], float],
    tls: ssl.SSLContext | None,
) -> ExchangeResponse | NoResponse:
    # Before anything is sent, so that the token ends here before it ends at the issuer.
    sent_on = clock()
    headers = {"Authorization": f"Bearer {key.text}", "Accept": "application/json", **more}
    try:
        async with (
            asyncio.timeout(seconds),
            # No cookie of a proxy in between is kept.
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.post(
                url,
                **body,
                headers=headers,
                allow_redirects=False,
                ssl=True if tls is None else tls,
            ) as response,
        ):
            answer = await _read_body(response)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return NoResponse(trouble=type(error).__name__, came_on=clock())
    return ExchangeResponse(
        status=response.status,
        retry_after=response.headers.get("Retry-After"),
        date=response.headers.get("Date"),
        body=answer,
        sent_on=sent_on,
        came_on=clock(),
    )


async def request_token(
    issuer: str, api_key: str, form: Mapping[str, str], *, allow_http: bool = False
) -> str:
    """Ask the issuer once, remember nothing, and return the token.

    `allow_http`: it may be without TLS.

    Raises InvalidClientError, InvalidRequestError, UnavailableError.
    """
    try:
        check_secure_url(issuer, allow_http=allow_http)
    except ValueError as error:
        raise InvalidRequestError(str(error)) from error
    if not api_key.isascii() or not api_key.isprintable():
        raise InvalidClientError("malformed_key")
    key = ApiKey(api_key)
    url = f"{issuer.removesuffix('/')}/v1/token"
    response = await post_form(url, key, form, seconds=_SECONDS, clock=time.monotonic)
    # The token is not kept, so it does not matter when it would be refreshed.
    outcome = judge(response, key=key, chance=0.5)
    if not isinstance(outcome, Failure):
        return outcome.text
    if outcome.kind == "key_rejected":
        raise InvalidClientError("refused")
    if outcome.kind == "refused":
        raise InvalidRequestError(outcome.message)
    raise UnavailableError(outcome.message)


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise ValueError("the body is too large")
    return bytes(body)
