"""Two services on one database: one system."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import jwt
import pytest
from bench.installation import add_keys

from tests.e2e.calls import (
    AUDIENCE,
    call,
    exchange,
    is_ready,
    jwks,
    new_account,
    new_key,
    revoke,
    try_exchange,
    wait_until,
)
from tests.processes import find_free_port
from tokensvc.core.errors import InvalidTokenError
from tokensvc.verify import Verifier


@pytest.fixture
def replicas(new_process, new_database_url, tmp_path):
    """Two, started at once on an empty database; the first is the issuer by name."""
    port = find_free_port()
    common = {
        "TOKENSVC_DATABASE_URL": new_database_url(False),
        "TOKENSVC_ISSUER": f"http://127.0.0.1:{port}",
        "TOKENSVC_KEYS_DIR": str(tmp_path / "keys"),
    }
    both = [new_process(TOKENSVC_PORT=str(port), **common), new_process(**common)]
    for process in both:
        process.wait_until_ready()
    wait_until(lambda: all(is_ready(process.url) for process in both))
    return both


def test_two_that_start_at_once_on_an_empty_database_make_one_admin_key(replicas):
    first, second = replicas
    assert (first.output + second.output).count("This is the first start") == 1
    admin = (first if "This is the first start" in first.output else second).admin_key
    assert try_exchange(first.url, admin).status == try_exchange(second.url, admin).status == 200
    assert jwks(first.url) == jwks(second.url)
    documents = [call(f"{process.url}/.well-known/jwks.json") for process in replicas]
    assert documents[0].headers["Etag"] == documents[1].headers["Etag"]
    assert len(json.loads(documents[0].body)["keys"]) == 2
    listed = first.cli("audience", "list", "-o", "json")
    assert len(json.loads(listed.stdout)) == 1


def test_a_key_revoked_at_one_never_gets_a_token_at_the_other(replicas):
    first, second = replicas
    account = new_account(first)
    for key in [new_key(first, account) for _ in range(6)]:
        with ThreadPoolExecutor(2) as threads:
            revoked = threads.submit(revoke, first.url, key.text)
            meanwhile = [try_exchange(second.url, key.text) for _ in range(5)]
            assert revoked.result() == 200
            after = [try_exchange(second.url, key.text) for _ in range(5)]
        assert {answer.status for answer in meanwhile} <= {200, 401}
        assert {(answer.status, answer.json["error"]) for answer in after} == {
            (401, "invalid_client")
        }
    for token in [
        exchange(second.url, new_key(first, account).text)
    ]:  # and a token, at the other one's feed
        assert revoke(second.url, token) == 200


async def test_a_thousand_times_no_token_at_the_other_once_a_revocation_has_been_acknowledged(
    replicas,
):
    first, second = replicas
    keys = await asyncio.to_thread(add_keys, first.database_url, 1000)
    tokens = []

    async def trial(session, key):
        async with session.post(f"{first.url}/v1/revoke", data={"token": key}) as revoked:
            assert revoked.status == 200
        async with session.post(
            f"{second.url}/v1/token", headers={"Authorization": f"Bearer {key}"}
        ) as answer:
            if answer.status != 401:
                tokens.append(key)

    async with aiohttp.ClientSession() as session:
        for start in range(0, len(keys), 4):
            await asyncio.gather(*(trial(session, key) for key in keys[start : start + 4]))
    assert tokens == []


async def test_a_revocation_at_one_reaches_a_follower_of_the_other(replicas):
    first, second = replicas
    key = await asyncio.to_thread(new_key, first)
    async with Verifier(
        issuer=first.url, audience=AUDIENCE, denylist_url=f"{second.url}/v1/denylist"
    ) as verifier:
        for _ in range(10):
            token = await asyncio.to_thread(exchange, second.url, key.text)
            assert verifier.verify(token).client_id == key.id
            assert await asyncio.to_thread(revoke, first.url, token) == 200
            async with asyncio.timeout(5):
                while not refuses(verifier, token):
                    await asyncio.sleep(0.005)


def refuses(verifier, token):
    try:
        verifier.verify(token)
    except InvalidTokenError:
        return True
    return False


async def test_rotation_fails_nobody(replicas):
    first, second = replicas
    account = await asyncio.to_thread(new_account, first)
    keys = [await asyncio.to_thread(new_key, first, account) for _ in range(4)]
    stock = jwt.PyJWKClient(f"{first.url}/.well-known/jwks.json", lifespan=300)
    stock.get_jwk_set()  # fetched before the rotation and kept
    kids: list[str] = []
    failures: list[str] = []
    stop = asyncio.Event()

    def verify_as_stock(token):
        kid = jwt.get_unverified_header(token)["kid"]
        key = next(
            key for key in stock.get_signing_keys() if key.key_id == kid
        )  # from the cache alone: nothing is fetched
        jwt.decode(token, key.key, algorithms=["ES256"], audience=AUDIENCE, issuer=first.url)
        return kid

    async def use(url, key, verifier):
        while not stop.is_set():
            try:
                token = await asyncio.to_thread(exchange, url, key.text)
                verifier.verify(token)
                kids.append(verify_as_stock(token))
            except Exception as error:  # noqa: BLE001 - each is a failure, whatever it is
                failures.append(repr(error))
            await asyncio.sleep(0.05)

    async with Verifier(issuer=first.url, audience=AUDIENCE) as verifier:
        old = await asyncio.to_thread(exchange, first.url, keys[0].text)
        users = [
            asyncio.create_task(use(replicas[i % 2].url, key, verifier))
            for i, key in enumerate(keys)
        ]
        await asyncio.sleep(0.7)
        rotated = await asyncio.to_thread(second.cli, "signing-key", "rotate", "-o", "json")
        assert rotated.returncode == 0, rotated.stderr
        await asyncio.sleep(2)
        stop.set()
        await asyncio.gather(*users)
        new = await asyncio.to_thread(exchange, second.url, keys[0].text)
        assert failures == []
        assert len(kids) > 40
        assert jwt.get_unverified_header(new)["kid"] == json.loads(rotated.stdout)["kid"]
        assert list(dict.fromkeys(kids)) == [
            jwt.get_unverified_header(token)["kid"] for token in (old, new)
        ]
        for token in (old, new):
            assert verifier.verify(token).client_id == keys[0].id
            verify_as_stock(token)
    assert jwks(first.url) == jwks(second.url)
    assert len(json.loads(jwks(first.url))["keys"]) == 3
