"""Keys that nobody has: a checksum keeps junk from Postgres, and many guesses are one question."""

from __future__ import annotations

import asyncio
import random

from prometheus_client import REGISTRY
from tests.web.asking import get_token, try_token

from tokensvc.core.api_key import checksum
from tokensvc.core.identifier import BASE62

GUESSES = 1000
AT_ONCE = 100


def count_batches():
    return REGISTRY.get_sample_value("tokensvc_ledger_batch_size_count") or 0


def guess_bodies():
    """Return what a key is without its checksum, at random and always the same."""
    some = random.Random(14)
    return ["tsk-" + "".join(some.choices(BASE62, k=26)) for _ in range(GUESSES)]


async def guess_all(client, keys):
    """Show all keys, many at once; return in how many ways they were answered."""

    async def guess(key):
        headers = {"Authorization": f"Bearer {key}"}
        async with client.post("/v1/token", headers=headers) as answer:
            return answer.status, await answer.text()

    answers = set()
    for start in range(0, len(keys), AT_ONCE):
        answers |= set(await asyncio.gather(*map(guess, keys[start : start + AT_ONCE])))
    return answers


async def test_f14_t19_junk_reaches_postgres_in_no_statement(client, key):
    before = count_batches()
    ((status, _),) = await guess_all(client, [f"{body}000000" for body in guess_bodies()])
    assert (status, count_batches()) == (401, before)
    await get_token(client, key)
    assert count_batches() == before + 1


async def test_f15_keys_that_nobody_has_share_statements_and_look_alike(client, key):
    before = count_batches()
    keys = [body + checksum(body) for body in guess_bodies()[: 2 * AT_ONCE]]
    ((status, _),) = await guess_all(client, keys)
    assert status == 401
    assert count_batches() - before <= AT_ONCE
    await get_token(client, key)


async def test_t22_a_digest_is_no_key(client, key):
    for text in (key.key.digest.hex(), "tsk-" + key.key.digest.hex()[:32]):
        shown = await client.post("/v1/token", headers={"Authorization": f"Bearer {text}"})
        assert shown.status == 401
    assert (await try_token(client, key)).status == 200
