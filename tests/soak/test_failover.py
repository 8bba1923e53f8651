"""A primary that dies: no acknowledged revocation is lost. More rounds: `make bench-failover`."""

from __future__ import annotations

import pytest
from testbed.cluster import can_replicate
from testbed.failover import play
from testbed.failover_stage import open_stage

ROUNDS = 4


@pytest.mark.skipif(not can_replicate(), reason="needs Debian's postgresql, for pg_basebackup")
@pytest.mark.parametrize("standby", ["asynchronous", "synchronous"])
async def test_f5_t28_no_acknowledged_revocation_is_lost_when_the_standby_takes_over(standby):
    async with open_stage(synchronous=standby == "synchronous") as stage:
        for number in range(1, ROUNDS + 1):
            seen = await play(stage, number)
            assert seen.faults == []
            assert seen.acknowledged == 8
