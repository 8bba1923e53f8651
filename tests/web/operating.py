"""Calling operations over HTTP in tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from testbed.waiting import PATIENCE
from tests.integration.things import make_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.test_utils import TestClient

    from tokensvc.issuer.admin.api_keys import NewKey
    from tokensvc.store.pool import Database


class Answer(NamedTuple):
    """What came back; `body` is JSON, None if there is none."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def code(self) -> str:
        return str(self.body["code"])

    @property
    def faults(self) -> dict[str, str]:
        """What is wrong, by pointer."""
        return {fault["pointer"]: fault["detail"] for fault in self.body.get("errors", [])}


class Caller:
    """Somebody who calls operations with a credential, None for nobody."""

    def __init__(self, client: TestClient[Any, Any], credential: str | None) -> None:
        self.client = client
        self.headers = {} if credential is None else {"Authorization": f"Bearer {credential}"}

    async def __call__(self, line: str, json: Any = None, **options: Any) -> Answer:
        """`line` is like "POST /v1/keys"; `headers` go beside the credential."""
        method, _, path = line.partition(" ")
        headers = {**self.headers, **options.pop("headers", {})}
        if json is not None:
            options["json"] = json
        async with self.client.request(method, path, headers=headers, **options) as answer:
            has_json = answer.content_type.endswith("json") and method != "HEAD"
            body = await answer.json() if has_json and answer.status != 304 else None
            return Answer(answer.status, body, answer.headers)

    async def insist(self, line: str, json: Any = None, **options: Any) -> Answer:
        """As a call, repeated while a busy machine answers 503, as `Retry-After` asks for."""
        async with asyncio.timeout(PATIENCE):
            while (answer := await self(line, json, **options)).status == 503:
                assert "Retry-After" in answer.headers
        return answer


async def make_caller(
    client: TestClient[Any, Any], database: Database, *capabilities: str, **more: Any
) -> tuple[Caller, NewKey]:
    """Make a key with these capabilities, and return who calls with it."""
    key = await make_key(database, capabilities=capabilities, **more)
    return Caller(client, key.key.text), key
