"""A client: get a token for an API key, show it to a service, and print what that answers.

    ISSUER=http://127.0.0.1:8080 AUDIENCE=api TOKENSVC_API_KEY=tsk-... \
        ORDERS_URL=http://127.0.0.1:9000/orders python examples/python/client.py

The source keeps the token until shortly before its end, and asks for another one by itself.
"""

from __future__ import annotations

import asyncio
import os
from urllib.parse import urlsplit

import aiohttp

from tokensvc.client import TokenSource
from tokensvc.client.aiohttp import BearerMiddleware


async def main() -> None:
    """Ask once."""
    url = os.environ["ORDERS_URL"]
    host = urlsplit(url).hostname or ""
    async with TokenSource(
        issuer=os.environ["ISSUER"], audience=os.environ["AUDIENCE"], scope="orders:read"
    ) as source:
        auth = BearerMiddleware(source, allowed_hosts={host})
        async with (
            aiohttp.ClientSession(middlewares=[auth], raise_for_status=True) as session,
            session.get(url) as answer,
        ):
            print(await answer.text())


if __name__ == "__main__":
    asyncio.run(main())
