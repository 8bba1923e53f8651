"""The four ways to send a request with a token, behind one face.

aiohttp, httpx with and without asyncio, and requests.
"""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import requests
from tests.unit.client.loopback import KEY

from tokensvc.client import ThreadedTokenSource, TokenSource
from tokensvc.client.aiohttp import BearerMiddleware
from tokensvc.client.httpx import BearerAuth as HttpxAuth
from tokensvc.client.requests import BearerAuth as RequestsAuth

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.unit.client.loopback import Clock, Issuer

Answers = list[tuple[int, str]]


def stream() -> Iterator[bytes]:
    yield b"a "
    yield b"stream"


async def stream_async() -> AsyncIterator[bytes]:
    yield b"a "
    yield b"stream"


class Unseekable(io.BytesIO):
    """A file that is a pipe."""

    def seek(self, *_: object) -> int:
        raise OSError

    def tell(self) -> int:
        raise OSError


class Library:
    """Sends requests with one source; `send` returns status and text."""

    has_async_streams = False

    def __init__(self, issuer: Issuer, clock: Clock, **options: Any) -> None:
        self.auth_options = options
        self.options: dict[str, Any] = {
            "issuer": issuer.url,
            "api_key": KEY,
            "clock": clock,
            "chance": lambda: 0.5,
        }

    def send(self, method: str, url: str, body: object = None, times: int = 1) -> Answers:
        raise NotImplementedError


class Aiohttp(Library):
    has_async_streams = True

    def send(self, method: str, url: str, body: object = None, times: int = 1) -> Answers:
        async def run() -> Answers:
            async with TokenSource(**self.options) as source:
                auth = BearerMiddleware(source, **self.auth_options)
                async with aiohttp.ClientSession(middlewares=[auth]) as session:

                    async def once() -> tuple[int, str]:
                        async with session.request(method, url, data=body) as response:
                            return response.status, await response.text()

                    return await asyncio.gather(*(once() for _ in range(times)))

        return asyncio.run(run())


class HttpxAsync(Library):
    has_async_streams = True

    def send(self, method: str, url: str, body: Any = None, times: int = 1) -> Answers:
        async def run() -> Answers:
            async with TokenSource(**self.options) as source:
                auth = HttpxAuth(source, **self.auth_options)
                async with httpx.AsyncClient(auth=auth, follow_redirects=True) as client:
                    answers = await asyncio.gather(
                        *(client.request(method, url, content=body) for _ in range(times))
                    )
                    return [(answer.status_code, answer.text) for answer in answers]

        return asyncio.run(run())


class Httpx(Library):
    def send(self, method: str, url: str, body: Any = None, times: int = 1) -> Answers:
        with ThreadedTokenSource(**self.options) as source:
            auth = HttpxAuth(source, **self.auth_options)
            with httpx.Client(auth=auth, follow_redirects=True) as client:
                answers = [client.request(method, url, content=body) for _ in range(times)]
                return [(answer.status_code, answer.text) for answer in answers]


class Requests(Library):
    def send(self, method: str, url: str, body: Any = None, times: int = 1) -> Answers:
        with ThreadedTokenSource(**self.options) as source, requests.Session() as session:
            session.auth = RequestsAuth(source, **self.auth_options)
            answers = [session.request(method, url, data=body, timeout=10) for _ in range(times)]
            assert all(
                not answer.history or answer.history[0].status_code in {302, 307, 401}
                for answer in answers
            )
            return [(answer.status_code, answer.text) for answer in answers]


LIBRARIES: dict[str, type[Library]] = {
    "aiohttp": Aiohttp,
    "httpx async": HttpxAsync,
    "httpx": Httpx,
    "requests": Requests,
}
