"""One exchange over HTTP with aiohttp: bounded in time and size, no redirects, so the API key goes to the issuer and nowhere else."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import aiohttp

from tokensvc.client.answer import MAX_ANSWER_BYTES, Answer, NoAnswer, judge
from tokensvc.client.errors import Failure
from tokensvc.core.address import check_secure_url
from tokensvc.core.api_key import ApiKey
from tokensvc.core.errors import InvalidClientError, InvalidRequestError, UnavailableError

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
) -> Answer | NoAnswer:
    """Ask the token endpoint once. A session per exchange: they are minutes apart, and it belongs to no event loop."""
    sent_on = clock()
    headers = {"Authorization": f"Bearer {key.text}", "Accept": "application/json"}
    try:
        async with (
            asyncio.timeout(seconds),
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.post(
                url,
                data=dict(form),
                headers=headers,
                allow_redirects=False,
                ssl=True if tls is None else tls,
            ) as response,
        ):
            body = await _read(response)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        return NoAnswer(trouble=type(error).__name__, came_on=clock())
    return Answer(
        status=response.status,
        retry_after=response.headers.get("Retry-After"),
        date=response.headers.get("Date"),
        body=body,
        sent_on=sent_on,
        came_on=clock(),
    )


async def request_token(issuer: str, api_key: str, form: Mapping[str, str]) -> str:
    """Ask once and return the token, remembering nothing. Raises InvalidClientError, InvalidRequestError, UnavailableError."""
    try:
        check_secure_url(issuer)
    except ValueError as error:
        raise InvalidRequestError(str(error)) from error
    if not api_key.isascii() or not api_key.isprintable():
        raise InvalidClientError("malformed_key")
    key = ApiKey(api_key)
    answer = await post_form(
        f"{issuer.removesuffix('/')}/v1/token", key, form, seconds=_SECONDS, clock=time.monotonic
    )
    outcome = judge(answer, key=key, chance=0.5)
    if not isinstance(outcome, Failure):
        return outcome.text
    if outcome.kind == "key_rejected":
        raise InvalidClientError("refused")
    if outcome.kind == "refused":
        raise InvalidRequestError(outcome.message)
    raise UnavailableError(outcome.message)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise ValueError("the answer is too large")
    return bytes(body)
