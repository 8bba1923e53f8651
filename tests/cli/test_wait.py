from __future__ import annotations

import asyncio
import os
import threading
import time

import pytest

from tokensvc.store.primary import connect

PUT = (
    "insert into follower (name, seq, tag, authenticated, seen_at) "
    "values ($1, $2, 'x', false, clock_timestamp() - $3::float8 * interval '1 s') "
    "on conflict (name) do update set seq = excluded.seq, seen_at = excluded.seen_at"
)


def put_follower(name, seq, ago=0.0):
    """Let a follower be heard of that has applied `seq`, so many seconds ago."""

    async def put():
        connection = await connect(os.environ["TOKENSVC_DATABASE_URL"])
        await connection.execute(PUT, name, seq, ago)
        await connection.close()

    asyncio.run(put())


def test_without_a_follower_there_is_nobody_to_wait_for(cli, key):
    assert "no follower is alive" in cli("key revoke --yes", key["id"], "--wait").stderr


def test_who_has_not_applied_it_in_time_is_named_and_the_exit_code_says_so(cli, key):
    put_follower("orders", 0)
    put_follower("gone", 0, ago=100)
    result = cli("key revoke --yes --wait=1", key["id"], code=7)
    assert "applied by 0 of 1 followers; these lag:" in result.stderr
    assert "  orders  at 0 of 1, asked last " in result.stderr
    assert "gone" not in result.stderr
    listed = {
        row["name"]: (row["state"], row["applied"], row["head"])
        for row in cli.json("denylist followers")
    }
    assert listed == {"orders": ("lagging", 0, 1), "gone": ("silent", 0, 1)}
    assert "orders" in cli("denylist followers").stdout


@pytest.mark.parametrize("command", ["disable", "revoke --yes", "delete --yes"])
def test_it_ends_as_soon_as_all_have_applied_it(command, cli, key):
    put_follower("orders", 0)
    late = threading.Timer(0.5, put_follower, ("orders", 1))
    late.start()
    started_on = time.monotonic()
    result = cli(f"key {command} --wait=20", key["id"])
    assert "applied by all 1 followers" in result.stderr
    assert time.monotonic() - started_on < 10
    late.join()


def test_accounts_and_signing_keys_wait_as_well(ready, account):
    put_follower("orders", 10)
    kid = ready.json("signing-key list")[0]["kid"]
    for line in (
        f"account suspend {account}",
        f"account delete {account}",
        f"signing-key revoke {kid}",
    ):
        assert "applied by all 1" in ready(f"{line} --yes --wait").stderr
