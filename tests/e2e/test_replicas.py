"""Two services on one database: one system."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import pytest
from testbed.following import following
from testbed.waiting import PATIENCE, until

from tests.e2e.calls import (
    AUDIENCE,
    call,
    exchange,
    is_refused,
    jwks,
    new_key,
    new_keys,
    revoke,
    try_exchange,
)
from tests.e2e.replicas import find_tokens_after_revocations, rotate_under_load, start_pair
from tokensvc.verify import Verifier


@pytest.fixture(scope="module")
def replicas(new_shared_process, databases, tmp_path_factory):
    """Two, started at once on an empty database; all tests of this module share them."""
    url = databases.take("empty")
    yield start_pair(new_shared_process, url, str(tmp_path_factory.mktemp("keys")))
    databases.drop(url)


def test_f18_two_that_start_at_once_on_an_empty_database_make_one_admin_key(replicas):
    both = (replicas.first, replicas.second)
    assert sum("This is the first start" in process.output for process in both) == 1
    asked = {"scope": "tokensvc:admin"}
    statuses = {try_exchange(process.url, replicas.admin_key, **asked).status for process in both}
    assert statuses == {200}
    documents = [call(f"{process.url}/.well-known/jwks.json") for process in both]
    assert documents[0].body == documents[1].body
    assert documents[0].headers["Etag"] == documents[1].headers["Etag"]
    assert len(json.loads(documents[0].body)["keys"]) == 2


def test_a_key_revoked_at_one_never_gets_a_token_at_the_other(replicas):
    first, second = replicas.first, replicas.second
    for key in new_keys(first, 3):
        with ThreadPoolExecutor(2) as threads:
            revoked = threads.submit(revoke, first.url, key.text)
            meanwhile = [try_exchange(second.url, key.text) for _ in range(5)]
            assert revoked.result() == 200
            after = [try_exchange(second.url, key.text) for _ in range(5)]
        assert {answer.status for answer in meanwhile} <= {200, 401}
        assert {answer.json["error"] for answer in after} == {"invalid_client"}


async def test_no_token_at_the_other_once_a_revocation_has_been_acknowledged(replicas):
    assert await find_tokens_after_revocations(replicas, 40) == []


async def test_a_revocation_at_one_reaches_a_follower_of_the_other(replicas):
    first, second = replicas.first, replicas.second
    key = await asyncio.to_thread(new_key, first)
    feed = f"{second.url}/v1/denylist"
    follower = Verifier(issuer=first.url, audience=AUDIENCE, denylist_url=feed)
    async with following(follower) as verifier:
        for _ in range(3):
            token = await asyncio.to_thread(exchange, second.url, key.text)
            assert verifier.verify(token).client_id == key.id
            assert await asyncio.to_thread(revoke, first.url, token) == 200
            await until(lambda token=token: is_refused(verifier, token))


async def test_a_rotation_fails_nobody(replicas):
    await rotate_under_load(replicas, tokens=20)
    assert len(json.loads(jwks(replicas.first.url))["keys"]) == 3


async def test_two_hundred_equal_requests_at_both_make_one_key(replicas):
    both = (replicas.first.url, replicas.second.url)
    headers = {"Authorization": f"Bearer {replicas.admin_key}"}
    timeout = aiohttp.ClientTimeout(PATIENCE)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:

        async def ask(method, url, path, body=None, **more):
            while True:  # whoever is told to come later comes later
                async with session.request(method, url + path, json=body, headers=more) as answer:
                    if answer.status != 503:
                        return answer.status, await answer.json()
                await asyncio.sleep(1)

        _, account = await ask("POST", both[0], "/v1/accounts", {"name": "Orders"})
        wish = {"account": account["id"], "name": "once", "capabilities": ["orders:read"]}
        answers = await asyncio.gather(
            *(
                ask("POST", both[place % 2], "/v1/keys", wish, **{"Idempotency-Key": "once"})
                for place in range(200)
            )
        )
        _, keys = await ask("GET", both[0], f"/v1/keys?account={account['id']}")
    assert Counter(status for status, _ in answers) == {201: 200}
    assert len({answer["key"] for _, answer in answers}) == 1
    assert Counter(answer["replayed"] for _, answer in answers) == {False: 1, True: 199}
    assert len(keys["items"]) == 1
