from __future__ import annotations

import asyncio
import os
import threading

import pytest

from tokensvc.store.primary import connect

PUT = (
    "insert into follower (key_id, name, seq, tag, seen_at) "
    "values ($4, $1, $2, 'x', clock_timestamp() - $3::float8 * interval '1 s') "
    "on conflict (key_id, name) do update set seq = excluded.seq, seen_at = excluded.seen_at"
)


def put_follower(name, seq, ago=0.0, key_id="key_1"):
    """Let a follower be heard of that has applied `seq`, so many seconds ago."""

    async def put():
        connection = await connect(os.environ["TOKENSVC_DATABASE_URL"])
        await connection.execute(PUT, name, seq, ago, key_id)
        await connection.close()

    asyncio.run(put())


def test_without_a_follower_there_is_nobody_to_wait_for(cli, key):
    assert (
        "no follower that proves its name is alive"
        in cli("key revoke --yes", key["id"], "--wait").stderr
    )


def test_a_wait_without_a_number_does_not_take_the_id_for_one(cli, key):
    assert cli("key disable --wait", key["id"]).stdout.startswith("id ")


def test_who_has_not_applied_it_in_time_is_named_and_the_exit_code_says_so(cli, key):
    put_follower("orders", 0)
    put_follower("gone", 0, ago=100)
    result = cli("key revoke --yes --wait=1", key["id"], code=7)
    assert "applied by 0 of 1 followers; these lag:" in result.stderr
    assert "  key_1/orders  at 0 of 1, asked last " in result.stderr
    assert "gone" not in result.stderr
    listed = {
        row["name"]: (row["state"], row["applied"], row["head"])
        for row in cli.json("denylist followers")
    }
    assert listed == {
        "key_1/orders": ("lagging", 0, 1),
        "key_1/gone": ("silent", 0, 1),
    }
    assert "orders" in cli("denylist followers").stdout


@pytest.mark.parametrize("command", ["disable", "revoke --yes", "delete --yes"])
def test_it_ends_as_soon_as_all_have_applied_it(command, cli, key):
    put_follower("orders", 0)
    late = threading.Timer(0.5, put_follower, ("orders", 1))
    late.start()
    result = cli(f"key {command} --wait=3600", key["id"])
    assert "applied by all 1 followers" in result.stderr
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


def test_t13_followers_that_show_no_token_neither_complete_nor_hold_up_a_wait(cli, key):
    put_follower("stranger", 0, key_id="")
    result = cli("key revoke --yes --wait=5", key["id"])
    assert "no follower that proves its name is alive" in result.stderr
    assert "1 more show no token" in result.stderr


def test_lists_of_followers_have_an_end(cli, key):
    for number in range(55):
        put_follower(f"stranger-{number}", 0, key_id="")
    result = cli("denylist followers")
    assert result.stdout.count("stranger-") == 50
    assert "and 5 more that show no token" in result.stderr
    for number in range(55):
        put_follower(f"f-{number:02}", 0)
    result = cli("key revoke --yes --wait=1", key["id"], code=7)
    assert result.stderr.count("key_1/f-") == 50
    assert "and 5 more" in result.stderr
