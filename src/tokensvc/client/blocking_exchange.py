"""One exchange over HTTP with the standard library: bounded in time and size. `http.client` follows no redirects and knows no proxies."""

from __future__ import annotations

import http.client
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from tokensvc.client.answer import MAX_ANSWER_BYTES, Answer, NoAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from urllib.parse import SplitResult

    from tokensvc.core.api_key import ApiKey

_CHUNK = 8192


def post_form(
    url: str,
    key: ApiKey,
    form: Mapping[str, str],
    *,
    seconds: float,
    clock: Callable[[], float],
    tls: ssl.SSLContext | None = None,
) -> Answer | NoAnswer:
    """Ask the token endpoint once."""
    parts, sent_on = urlsplit(url), clock()
    headers = {
        "Authorization": f"Bearer {key.text}",
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
        "Connection": "close",
    }
    connection = _connect(parts, seconds, tls)
    try:
        connection.request("POST", parts.path, urlencode(form).encode("ascii"), headers)
        response = connection.getresponse()
        body = _read(response, clock, sent_on + seconds)
    except (http.client.HTTPException, OSError, ValueError) as error:
        return NoAnswer(trouble=type(error).__name__, came_on=clock())
    finally:
        connection.close()
    return Answer(
        status=response.status,
        retry_after=response.getheader("Retry-After"),
        date=response.getheader("Date"),
        body=body,
        sent_on=sent_on,
        came_on=clock(),
    )


def _connect(
    parts: SplitResult, seconds: float, tls: ssl.SSLContext | None
) -> http.client.HTTPConnection:
    host = parts.hostname or ""
    if parts.scheme == "https":
        return http.client.HTTPSConnection(
            host, parts.port, timeout=seconds, context=tls or ssl.create_default_context()
        )
    return http.client.HTTPConnection(host, parts.port, timeout=seconds)


def _read(response: http.client.HTTPResponse, clock: Callable[[], float], deadline: float) -> bytes:
    body = bytearray()
    while chunk := response.read1(_CHUNK):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES or clock() > deadline:
            raise ValueError("the answer is too large or too slow")
    return bytes(body)
