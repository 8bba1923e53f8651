"""Ops move Postgres to its standby: nothing is lost, and everybody goes on by himself."""

from __future__ import annotations

import signal

import pytest
from testbed.cluster import can_replicate
from testbed.failover import find_refusal
from testbed.failover_stage import open_stage
from testbed.following import following
from testbed.keys import add_keys_to
from testbed.waiting import until

ROUNDS = 4


@pytest.mark.skipif(not can_replicate(), reason="needs Debian's postgresql, for pg_basebackup")
async def test_f4_a_clean_switchover_loses_nothing_and_the_feed_goes_on():
    async with open_stage(synchronous=False) as stage:
        for _ in range(ROUNDS):
            await stage.cluster.add_standby(synchronous=False)
            before, after, good = await add_keys_to(stage.cluster.primary.url, 3)
            clients = [stage.client(number) for number in (0, 1)]
            tokens = [str(await clients[0].exchange(key)) for key in (before, after, good)]
            async with following(stage.verifier(0)) as one, following(stage.verifier(1)) as other:
                await clients[0].revoke(before)
                stage.cluster.primary.end(signal.SIGINT)  # sends what is left to the standby
                await stage.cluster.promote()
                assert await clients[1].exchange(good)
                await clients[1].revoke(after)
                for verifier in (one, other):
                    for token in tokens[:2]:
                        await until(
                            lambda verifier=verifier, token=token: find_refusal(verifier, token)
                        )
                    assert find_refusal(verifier, tokens[2]) is None
                for client in clients:
                    assert await client.exchange(before) is await client.exchange(after) is None
                    assert await client.exchange(good)
