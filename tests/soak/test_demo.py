"""`make demo`: a database with a past that the service itself finds whole."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections import Counter
from datetime import timedelta

import aiohttp
import pytest
from demo.__main__ import build_environment, check_port, read_mark, write_mark
from demo.counting import count_until
from demo.filling import fill
from testbed.ports import find_free_port
from testbed.processes import ROOT, clean_environment
from testbed.waiting import wait_until

from tests.factories import make_settings
from tests.integration.things import make_key
from tokensvc.core.errors import StartRefusedError
from tokensvc.issuer.admin.audit_check import verify_trail
from tokensvc.store.api_key import count_api_keys
from tokensvc.store.pool import open_database


async def test_an_empty_database_gets_a_past_that_holds_and_any_other_is_refused(
    new_database_url, tmp_path, unused_tcp_port
):
    url = await asyncio.to_thread(new_database_url, "empty")
    settings = make_settings(port=unused_tcp_port, keys_dir=tmp_path / "keys", max_token_ttl=86_400)
    database = await open_database(url, max_size=3)
    try:
        await fill(database, settings, seed=1)
        whole = await verify_trail(database, settings)
        assert whole.head.number > 150
        async with database.connection() as connection:
            await check_past(connection)
        await make_key(database, name="made by somebody who tries it")
        async with database.connection() as connection:
            await count_until(connection, await connection.fetchval("select now()"), seed=1)
        with pytest.raises(StartRefusedError, match="empty database"):
            await fill(database, settings, seed=1)
    finally:
        await database.close()


async def check_past(connection):
    now = await connection.fetchval("select clock_timestamp()")
    for table, column in {
        "account": "created_at",
        "api_key": "created_at",
        "audit_event": "at",
        "denylist": "created_at",
        "key_leak": "reported_at",
        "notice_delivery": "delivered_at",
        "notice_event": "at",
        "signing_key": "created_at",
    }.items():
        latest = await connection.fetchval(f"select max({column}) from {table}")
        assert latest < now - timedelta(minutes=10), table
    numbers = await connection.fetch("select at from audit_event order by number")
    moments = [row["at"] for row in numbers]
    assert moments == sorted(moments)
    states = Counter(
        row["state"]
        for row in await connection.fetch(
            "select case when revoked_at is not null then 'revoked'"
            " when expires_at < clock_timestamp() then 'expired'"
            " when disabled_at is not null then 'disabled' else 'active' end as state"
            " from api_key where deleted_at is null"
        )
    )
    assert sum(states.values()) >= 60
    assert min(states[state] for state in ("revoked", "expired", "disabled")) >= 2
    hours = await connection.fetch(
        "select extract(hour from hour)::int as hour, sum(count)::int as n from api_key_usage"
        " group by 1"
    )
    by_hour = {row["hour"]: row["n"] for row in hours}
    assert by_hour[11] > 2 * by_hour[23]
    assert await connection.fetchval(
        "select max(hour) - min(hour) > interval '30 days' from api_key_usage"
    )
    assert await connection.fetchval(
        "select (select sum(count) from exchange_count) = (select sum(count) from api_key_usage)"
        " and (select sum(count) from exchange_count) = (select sum(count) from account_usage)"
    )
    assert await connection.fetchval("select count(*) from notice_delivery") > 20
    assert await connection.fetchval(
        "select not exists (select from api_key join api_key_last_use on key_id = id"
        " where at > least(disabled_at, revoked_at, expires_at))"
    )
    assert await connection.fetchval(
        "select not exists (select from notice_delivery where next_at is not null)"
    )
    assert await connection.fetchval("select count(*) from denylist where expires_at > now()") >= 3
    counts, _ = await count_api_keys(connection, None)
    worth_a_look = ("expiring", "endless", "idle", "powerful", "replaced")
    assert min(counts[name] for name in worth_a_look) >= 3, counts


async def test_it_serves_what_it_has_filled_and_the_same_again(tmp_path):
    folder, port = tmp_path / "demo", find_free_port()
    environment = clean_environment() | {"TOKENSVC_PORT": str(port)}
    keys = []
    said = tmp_path / "out"
    for _ in range(2):
        with said.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "demo", "--folder", str(folder)],
                cwd=ROOT,
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            await asyncio.to_thread(wait_until, lambda: "admin key" in said.read_text(), 120)
            keys.append(said.read_text().split("admin key: ")[1].split()[0])
            await check_served(f"http://127.0.0.1:{port}", keys[-1])
        finally:
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 60) == 0
    assert keys[0] == keys[1]


async def check_served(url, key):
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.get(f"{url}/v1/keys?limit=1000") as answer:
            assert len((await answer.json())["items"]) >= 60
        async with session.get(f"{url}/v1/followers") as answer:
            followers = (await answer.json())["items"]
    assert len(followers) >= 10
    assert "silent" not in {follower["state"] for follower in followers}


def test_a_folder_of_others_and_another_database_are_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StartRefusedError, match="is not a folder of the demo"):
        read_mark(tmp_path)
    monkeypatch.setenv("TOKENSVC_DATABASE_URL", "postgresql://x/y")
    with pytest.raises(StartRefusedError, match="unset TOKENSVC_DATABASE_URL"):
        build_environment(tmp_path)


def test_a_port_that_something_else_uses_is_refused():
    port = find_free_port()  # nobody else gets it afterwards
    refused = pytest.raises(StartRefusedError, match=f"port {port} of 127.0.0.1 cannot be used")
    with socket.create_server(("127.0.0.1", port)), refused:
        check_port("127.0.0.1", port)
    check_port("127.0.0.1", port)


def test_a_folder_that_was_filled_in_part_is_filled_anew(tmp_path):
    folder = tmp_path / "demo"
    write_mark(folder, filled=False)
    (folder / "rest").write_text("x")
    assert read_mark(folder) is None
    assert not folder.exists()
    write_mark(folder, filled=True, seed=3)
    assert read_mark(folder) == {"filled": True, "seed": 3}
    assert (folder / "demo.json").stat().st_mode & 0o077 == 0
