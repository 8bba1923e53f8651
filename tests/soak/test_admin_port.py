"""Two workers of one service whose operations have a port of their own."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp
import pytest
from testbed.ports import find_free_port
from testbed.waiting import PATIENCE

from tests.e2e.calls import call, exchange, new_key

ADMIN_PORT = find_free_port()
ADMIN_URL = f"http://127.0.0.1:{ADMIN_PORT}"
AT_ONCE = 200


@pytest.fixture(scope="module")
def process(new_shared_process):
    environment = {"TOKENSVC_ADMIN_PORT": str(ADMIN_PORT), "TOKENSVC_CALLS_PER_MINUTE": "5000"}
    process = new_shared_process("--workers", "2", **environment)
    process.wait_until_ready()
    return process


def test_operations_are_answered_there_and_only_self_rotation_on_the_public_port_too(process):
    header = {"Authorization": f"Bearer {process.admin_key}"}
    assert call(f"{ADMIN_URL}/v1/whoami", None, **header).status == 200
    assert call(f"{process.url}/v1/whoami", None, **header).status == 404
    assert call(f"{process.url}/v1/keys/self/rotate", {}).status == 401
    assert call(f"{ADMIN_URL}/readyz").status == 200
    assert call(f"{ADMIN_URL}/.well-known/jwks.json").status == 404
    assert call(f"{ADMIN_URL}/v1/token", {}).status == 404
    exchange(process.url, new_key(process).text)


async def test_equal_requests_at_once_at_two_processes_make_one_key(process):
    """The same request comes on 200 connections, which both workers take."""
    key = await asyncio.to_thread(new_key, process, "tokensvc:admin")
    wish = {"account": key.account, "name": "ci", "capabilities": ["orders:read"]}
    headers = {"Authorization": f"Bearer {key.text}", "Idempotency-Key": "one"}

    async def make(client):
        while True:  # a process that is asked too much at once says so, and to repeat is safe
            async with client.post(f"{ADMIN_URL}/v1/keys", json=wish, headers=headers) as answer:
                if answer.status != 503:
                    return answer.status, await answer.json()
                come_again_in = int(answer.headers["Retry-After"])
            await asyncio.sleep(come_again_in)

    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(aiohttp.ClientSession()) for _ in range(AT_ONCE)]
        async with asyncio.timeout(PATIENCE):
            answers = await asyncio.gather(*(make(client) for client in clients))
        assert {status for status, _ in answers} == {201}, answers[0]
        assert len({body["key"] for _, body in answers}) == 1
        assert [body["replayed"] for _, body in answers].count(False) == 1
        async with clients[0].get(
            f"{ADMIN_URL}/v1/keys?account={key.account}", headers=headers
        ) as answer:
            assert len((await answer.json())["items"]) == 2, "the one that asks, and the new one"
