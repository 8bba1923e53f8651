"""A process serves at once, opens its service behind that, and leaves without cutting anybody."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from testbed.waiting import until
from tests.databases import FAST_AND_UNSAFE
from tests.factories import make_settings
from tests.integration.things import read_payload

from tokensvc.core.errors import StartRefusedError
from tokensvc.store.embedded import EmbeddedPostgres
from tokensvc.web.app_keys import POLLS
from tokensvc.web.runner import MOST_SCRAPERS, NO_PORTS, ServiceRunner
from tokensvc.web.server import bind_own_ports, bind_socket
from tokensvc.web.shared_start import SharedStart

if TYPE_CHECKING:
    from tokensvc.issuer.admin.api_keys import NewKey

# asyncpg leaves a connection that breaks while it is being made to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def own_postgres(session_folder):
    """A Postgres of this test alone, that may be stopped and started."""
    folder = Path(tempfile.mkdtemp(dir=session_folder))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder, options=FAST_AND_UNSAFE)
    yield server
    server.stop()


class Serving:
    """A process that serves, as far as it is a matter of this process."""

    def __init__(self, settings, url, start, own_ports=NO_PORTS):
        self.admins: list[NewKey] = []
        self.said: list[str] = []
        self.start = start
        self.runner = ServiceRunner(settings, url, start, self.admins.append, own_ports)
        self.listener = bind_socket(settings)
        self.settings = settings
        self.client = aiohttp.ClientSession(settings.issuer_url)

    async def begin(self):
        await self.runner.setup()
        await self.runner.serve(self.listener)
        self.opening = asyncio.create_task(self.runner.open(lambda: self.said.append("serves")))

    async def get(self, path):
        async with self.client.get(path) as answer:
            return answer.status, answer.headers, await answer.read()

    async def ask(self, path="/livez"):
        """Ask on a connection of its own; return all that is answered until it is closed."""
        reader, writer = await asyncio.open_connection(self.settings.host, self.settings.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        try:
            return await asyncio.wait_for(reader.read(), 30)
        finally:
            writer.close()
            await writer.wait_closed()

    async def is_ready(self):
        return (await self.get("/readyz"))[0] == 200


@asynccontextmanager
async def serving(settings, url):
    with SharedStart() as start:
        one = Serving(settings, url, start)
        await one.begin()
        try:
            yield one
        finally:
            await one.client.close()
            one.opening.cancel()
            await asyncio.gather(one.opening, return_exceptions=True)
            await one.runner.cleanup()
            one.listener.close()


@pytest.fixture
async def open_one(settings, database_url, started, logs):
    del started, logs
    async with serving(settings, database_url) as one:
        await one.opening
        yield one


async def test_f1_without_postgres_it_lives_and_opens_as_soon_as_postgres_is_there(
    own_postgres, unused_tcp_port, tmp_path, logs
):
    url = await asyncio.to_thread(own_postgres.start)
    await asyncio.to_thread(own_postgres.stop)
    settings = make_settings(port=unused_tcp_port, keys_dir=tmp_path / "keys")
    async with serving(settings, url) as one:
        await until(lambda: logs.find("waiting_for_database"))
        assert (await one.get("/livez"))[0] == 200
        for path in (
            "/readyz",
            "/v1/token",
            "/.well-known/jwks.json",
            "/v1/denylist",
            "/elsewhere",
        ):
            status, headers, _ = await one.get(path)
            assert (path, status, headers["Retry-After"]) == (path, 503, "1")
        assert (one.admins, one.said) == ([], [])
        await until(lambda: len(logs.find("waiting_for_database")) > 1)
        await asyncio.to_thread(own_postgres.start)
        await until(one.is_ready)
        assert (len(one.admins), one.said) == (1, ["serves"])
        assert (await one.get("/.well-known/jwks.json"))[0] == 200
    times = [line["timestamp"] for line in logs.find("waiting_for_database")]
    assert len({time[:19] for time in times}) == len(times), "no second saw two attempts"


async def test_a_connection_from_before_the_service_was_open_is_answered_by_the_service(
    settings, database_url, started, logs
):
    del started, logs
    async with serving(settings, database_url) as one:
        reader, writer = await asyncio.open_connection(settings.host, settings.port)
        await one.opening
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()


async def test_a_service_that_can_never_be_opened_says_so(settings, database_url, started):
    del started
    settings.master_key_path.unlink()
    async with serving(settings, database_url) as one:
        with pytest.raises(StartRefusedError, match="is missing"):
            await one.opening


async def test_a_worker_that_cannot_take_the_place_of_another_does_not_end_the_service(
    settings, database_url, started, logs
):
    del started
    path = settings.master_key_path
    path.rename(path.with_suffix(".away"))
    with SharedStart() as start:
        start.note_prepared()
        start.note_serving()
        one = Serving(settings, database_url, start)
        await one.begin()
        await until(lambda: logs.find("waiting_for_a_better_start"))
        path.with_suffix(".away").rename(path)
        await one.opening
        assert one.said == [], "another worker has said it"
        await one.client.close()
        await one.runner.cleanup()


async def test_f46_new_connections_are_answered_while_it_drains(open_one):
    status, headers, _ = await open_one.get("/readyz")
    assert (status, headers.get("Connection")) == (200, None)
    drained = asyncio.create_task(open_one.runner.drain(open_one.listener))
    answers: list[bytes] = []
    while not drained.done() and len(answers) < 20:
        answers.append(await open_one.ask("/readyz"))
        await asyncio.sleep(0.05)
    assert len(answers) == 20, "it goes on as long as somebody comes, for half of the time it has"
    assert all(answer.startswith(b"HTTP/1.1 503") for answer in answers)
    assert all(b"Connection: close" in answer for answer in answers)
    await drained
    with pytest.raises(ConnectionRefusedError):
        await open_one.ask()


async def test_f46_a_connection_that_was_kept_is_answered_once_more(open_one):
    await open_one.get("/livez")
    drained = asyncio.create_task(open_one.runner.drain(open_one.listener))
    await asyncio.sleep(0.05)
    status, headers, _ = await open_one.get("/livez")
    assert (status, headers["Connection"]) == (200, "close")
    await drained


async def test_t40_polls_beyond_the_limit_are_held_back_for_a_second(
    settings, started, logs, new_client
):
    del started
    client = await new_client(settings.model_copy(update={"feed_polls_per_network": 1}))
    page = await (await client.get("/v1/denylist")).text()
    query = {"after": read_payload(page)["cursor"], "wait": "30"}
    held = asyncio.create_task(client.get("/v1/denylist", params=query))
    await until(lambda: client.app[POLLS].held == 1)
    answer = await client.get("/v1/denylist", params=query)
    assert answer.status == 200
    assert not held.done()
    assert [line["limit"] for line in logs.find("connections_limited")] == ["polls_of_network"]
    held.cancel()


async def test_t40_a_poll_whose_client_hangs_up_frees_its_place_at_once(open_one, logs):
    _, _, page = await open_one.get("/v1/denylist")
    cursor = read_payload(page.decode())["cursor"]
    polls = open_one.runner.service_app[POLLS]
    host, port = open_one.settings.host, open_one.settings.port
    _, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET /v1/denylist?after={cursor}&wait=30 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await until(lambda: polls.held == 1)
    writer.close()
    await writer.wait_closed()
    await until(lambda: polls.held == 0)
    (line,) = [line for line in logs.find("request") if line.get("reason") == "cancelled"]
    assert (line["route"], line["status"]) == ("/v1/denylist", 499)
    assert line["milliseconds"] < 30_000


async def test_t40_who_scrapes_the_port_of_the_metrics_is_watched_as_well(
    settings, database_url, started, logs, unused_tcp_port_factory
):
    del started
    settings = settings.model_copy(update={"metrics_port": unused_tcp_port_factory()})
    with SharedStart() as start, bind_own_ports(settings) as own_ports:
        one = Serving(settings, database_url, start, own_ports)
        await one.begin()
        await one.opening
        idle = [
            await asyncio.open_connection(settings.host, settings.metrics_port)
            for _ in range(MOST_SCRAPERS + 1)
        ]
        assert await asyncio.wait_for(idle[0][0].read(), 30) == b"", "the oldest one is closed"
        assert [line["limit"] for line in logs.find("connections_limited")] == ["connections"]
        for _, writer in idle:
            writer.close()
        await one.client.close()
        await one.runner.cleanup()
        one.listener.close()
