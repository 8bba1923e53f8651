"""Postgres goes away under a running service, and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp.test_utils import TestClient, TestServer
from testbed.processes import EXECUTABLE, clean_environment
from testbed.slow_link import SlowLink
from testbed.waiting import PATIENCE, until
from tests import endings
from tests.factories import make_settings
from tests.integration.things import make_key, patiently

from tokensvc.core.actor import Actor
from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.start import initialise
from tokensvc.issuer.tasks import _every
from tokensvc.store.embedded import EmbeddedPostgres
from tokensvc.store.pool import open_database
from tokensvc.store.primary import connect
from tokensvc.web.app import build_app
from tokensvc.web.app_keys import SERVICE


@pytest.fixture
def own_postgres(own_folder):
    """A Postgres of this test alone, that may be stopped and started."""
    server = EmbeddedPostgres(own_folder, options=("fsync=off",))
    yield server
    server.stop()


async def test_while_postgres_is_away_everything_says_so_and_heals_by_itself(
    own_postgres, unused_tcp_port, tmp_path, logs
):
    url = own_postgres.start()
    settings = make_settings(port=unused_tcp_port, keys_dir=tmp_path / "keys")
    database = await open_database(url, max_size=3)
    await initialise(database, settings)
    key = await make_key(database)
    bearer = {"Authorization": f"Bearer {key.key.text}"}
    async with TestClient(TestServer(build_app(settings, url), port=settings.port)) as client:
        service = client.app[SERVICE]
        assert (await client.post("/v1/token", headers=bearer)).status == 200
        revoked = await client.post(
            "/v1/revoke", data={"token": (await make_key(database)).key.text}
        )
        assert revoked.status == 200
        await until(
            lambda: (
                service.mirror.denylist.log.head is not None
                and service.mirror.denylist.log.head.seq == 1
            )
        )
        await asyncio.to_thread(own_postgres.stop)

        for path, data, headers in (
            ("/v1/token", {}, bearer),
            ("/v1/revoke", {"token": key.key.text}, {}),
            ("/v1/introspect", {"token": "x"}, bearer),
        ):
            answer = await client.post(path, data=data, headers=headers)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert (await answer.json())["error"] == "temporarily_unavailable"
        assert (await client.get("/livez")).status == 200
        assert (await client.get("/.well-known/jwks.json")).status == 200

        await until(lambda: service.mirror.postgres_clock.age_seconds > 3)
        feed = await client.get("/v1/denylist")
        assert (feed.status, feed.content_type, feed.headers["Retry-After"]) == (
            503,
            "application/problem+json",
            "1",
        )
        assert (await feed.json())["code"] == "temporarily_unavailable"
        await until(lambda: service.mirror.postgres_clock.age_seconds > 5)
        ready = await client.get("/readyz")
        assert (ready.status, (await ready.json())["checks"]["database"]) == (503, False)

        await asyncio.to_thread(own_postgres.start)
        await until(lambda: _is_served(client, bearer))
        await until(lambda: _is_ready(client))
        assert (await client.get("/v1/denylist")).status == 200
    await database.close()
    reasons = {
        line["reason"]
        for line in logs.find("request")
        if line["status"] == 503 and line["route"] != "/readyz"
    }
    assert reasons >= {"mirror_stale"}
    assert all(
        reason.startswith(("database_", "mirror_stale", "temporarily", "service"))
        for reason in reasons
    )
    assert logs.find("mirror_not_refreshed")
    assert not logs.find("request_failed"), "an outage is no fault of ours"


async def _is_served(client, bearer):
    return (await client.post("/v1/token", headers=bearer)).status == 200


async def _is_ready(client):
    return (await client.get("/readyz")).status == 200


async def test_a_transaction_that_loses_its_connection_is_unavailable(database):
    async def lose():
        async with database.transaction() as mine:
            await mine.execute("select pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(UnavailableError):
        await lose()
    async with database.connection() as mine:
        assert await mine.fetchval("select 1") == 1


async def test_f8_a_connection_that_became_read_only_is_thrown_away(database):
    async with database.connection() as mine:
        pid = mine.get_server_pid()

    async def write():
        async with database.connection() as mine:
            assert mine.get_server_pid() == pid
            await mine.execute("set default_transaction_read_only = on")
            await mine.execute("update feed_head set tag = 'x'")

    with pytest.raises(UnavailableError) as caught:
        await write()
    assert caught.value.reason == "database_ReadOnlySQLTransactionError"
    async with database.connection() as mine:
        assert mine.get_server_pid() != pid
        await mine.execute("update feed_head set tag = 'x'")


async def test_f10_every_call_is_bounded(database):
    with pytest.raises(UnavailableError) as caught:
        async with database.connection() as mine:
            await mine.execute("select pg_sleep(3600)")
    assert caught.value.reason in {"database_QueryCanceledError", "database_TimeoutError"}


async def test_a_pool_that_is_used_up_is_unavailable_after_a_second(database_url):
    small = await open_database(database_url, max_size=1)
    async with small.connection():
        with pytest.raises(UnavailableError) as caught:
            async with small.connection():
                pass
    assert caught.value.reason == "database_TimeoutError"
    await small.close()


async def test_a_connection_that_is_long_in_the_making_is_finished(database_url):
    parts = urlsplit(database_url)
    options = parse_qs(parts.query)
    socket = Path(options["host"][0]) / f".s.PGSQL.{options['port'][0]}"
    async with SlowLink(socket, delay=0.11) as link:  # and there are ten round trips
        host = f"{parts.username}:{parts.password}@127.0.0.1:{link.port}"
        database = await open_database(f"postgresql://{host}{parts.path}", max_size=1)

        async def ask():
            async with database.connection() as connection:
                return await connection.fetchval("select 1")

        assert await patiently(ask) == 1
        await database.close()


async def test_connections_that_stay_busy_are_cut_at_the_end(database_url):
    database = await open_database(database_url, max_size=1)
    held = database.connection()
    await held.__aenter__()
    await asyncio.wait_for(database.close(patience=0.2), PATIENCE)
    with contextlib.suppress(UnavailableError):
        await held.__aexit__(None, None, None)


async def test_a_host_that_is_down_is_passed_over(own_folder, unused_tcp_port_factory):
    dead, port = unused_tcp_port_factory(), unused_tcp_port_factory()
    options = ("fsync=off", "listen_addresses=127.0.0.1", f"port={port}")
    server = EmbeddedPostgres(own_folder, options=options)
    user, _, _ = server.start().partition("@")
    try:
        opened = await connect(f"{user}@127.0.0.1:{dead},127.0.0.1:{port}/postgres")
        assert await opened.fetchval("select inet_server_port()") == port
        await opened.close()
        with pytest.raises(OSError, match="onnect"):
            await connect(f"{user}@127.0.0.1:{dead}/postgres")
    finally:
        server.stop()


async def test_a_background_task_that_fails_is_logged_and_tried_again(logs):
    ticks = []

    async def work():
        ticks.append(1)
        if len(ticks) == 1:
            raise UnavailableError("away", reason="database_away")
        if len(ticks) == 2:
            raise ValueError("a slip of ours")

    task = asyncio.create_task(_every(0.01, work))
    await until(lambda: len(ticks) > 2)
    task.cancel()
    await asyncio.wait([task])
    first, second = logs.find("background_task_failed")
    assert (first["level"], first["reason"], first["task"]) == ("warning", "database_away", "work")
    assert (second["level"], "a slip of ours" in second["exception"]) == ("error", True)


async def test_watching_the_denylist_goes_on_when_postgres_is_back(own_postgres, tmp_path):
    url = own_postgres.start()
    database = await open_database(url, max_size=2)
    await initialise(database, make_settings(keys_dir=tmp_path / "keys"))
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("w") as printed, err.open("w") as told:
        watching = subprocess.Popen(
            [str(EXECUTABLE), "denylist", "watch"],
            cwd=tmp_path,
            env=clean_environment() | {"TOKENSVC_DATABASE_URL": url, "PYTHONUNBUFFERED": "1"},
            stdout=printed,
            stderr=told,
        )
    await until(lambda: "watching, from 0-" in err.read_text())
    await asyncio.to_thread(own_postgres.stop)
    await until(lambda: "the database does not answer" in err.read_text())
    await asyncio.to_thread(own_postgres.start)
    key = await make_key(database)
    await endings.revoke_key(database, key.listed.record.id, actor=Actor(name="test"))
    await until(lambda: f"key {key.listed.record.id} up to " in out.read_text())
    assert err.read_text().count("the database does not answer") == 1
    watching.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(watching.wait, 10) == 0
    await database.close()
