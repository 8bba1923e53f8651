"""One exchange over HTTP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import aiohttp

from tokensvc.core.address import check_url
from tokensvc.core.errors import InvalidClientError, InvalidRequestError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS: Final = 10.0
_OK, _UNAUTHORIZED, _BUSY, _FAILED = 200, 401, 429, 500


async def request_token(issuer: str, api_key: str, form: Mapping[str, str]) -> str:
    """Return a token for an API key. Raises InvalidClientError, InvalidRequestError, UnavailableError."""
    try:
        check_url(issuer)
    except ValueError as error:
        raise InvalidRequestError(str(error)) from error
    headers = {"Authorization": f"Bearer {api_key}"}
    try:
        async with (
            asyncio.timeout(_SECONDS),
            aiohttp.ClientSession() as session,
            session.post(f"{issuer}/v1/token", data=dict(form), headers=headers, allow_redirects=False) as response,
        ):
            status, body = response.status, await response.json(content_type=None)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        msg = f"{issuer} cannot be reached: {type(error).__name__}"
        raise UnavailableError(msg) from error
    if status == _OK:
        return str(body["access_token"])
    description = str(body.get("error_description", f"the service answered {status}"))
    if status == _UNAUTHORIZED:
        raise InvalidClientError("refused")
    if status == _BUSY or status >= _FAILED:
        raise UnavailableError(description)
    raise InvalidRequestError(description)
