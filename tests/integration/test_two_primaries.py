"""After a failover the old primary is started again: two servers take writes, and one is right."""

from __future__ import annotations

import asyncio
import json
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from aiohttp.test_utils import TestClient, TestServer
from click.testing import CliRunner
from testbed.cluster import Cluster, Node, can_replicate
from testbed.waiting import until
from tests.endings import revoke_key
from tests.factories import make_settings
from tests.integration.things import make_key
from tests.rows import load_key

from tokensvc.cli.root import root
from tokensvc.core.actor import Actor
from tokensvc.core.errors import UnavailableError
from tokensvc.issuer.database import open_primary
from tokensvc.issuer.start import initialise
from tokensvc.store.pool import open_database
from tokensvc.store.primary import Hosts, connect
from tokensvc.store.timelines import FILE_NAME, Timelines
from tokensvc.web.app import build_app

if TYPE_CHECKING:
    from tokensvc.issuer.admin.api_keys import NewKey

pytestmark = pytest.mark.skipif(
    not can_replicate(), reason="needs Debian's postgresql, for pg_basebackup"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Two primaries; `lost` was revoked on the new one, and `good` is live on both."""

    old: Node
    new: Node
    good: NewKey
    lost: NewKey

    def url(self, *ports: int) -> str:
        """Return a URL with these hosts in this order."""
        user = self.old.url.partition("@")[0]
        return f"{user}@{','.join(f'127.0.0.1:{port}' for port in ports)}/postgres"


@pytest.fixture(scope="module")
def keys_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def split(keys_dir):
    with Cluster() as cluster:
        yield asyncio.run(_split(cluster, keys_dir))


async def _split(cluster, keys_dir):
    database = await open_database(cluster.primary.url, max_size=2)
    await initialise(database, make_settings(keys_dir=keys_dir))
    good, lost = [await make_key(database) for _ in range(2)]
    await database.close()
    await cluster.add_standby(synchronous=False)
    await cluster.wait_for_standby()
    old, new = cluster.primary, cluster.standby
    await asyncio.to_thread(old.end, signal.SIGKILL)
    await cluster.promote()
    database = await open_database(new.url, max_size=2)
    await revoke_key(database, lost.listed.record.id, actor=Actor(name="test"))
    await database.close()
    await asyncio.to_thread(old.start)
    return Split(old=old, new=new, good=good, lost=lost)


@pytest.fixture(params=["old first", "new first"])
def url(request, split):
    """Both hosts, in both orders."""
    ports = split.old.port, split.new.port
    return split.url(*(ports if request.param == "old first" else reversed(ports)))


@pytest.fixture
def new_settings(keys_dir, tmp_path, unused_tcp_port):
    """Makes the settings of a service; its folder is empty, so nothing is remembered."""

    def make(url, **more):
        values = {"port": unused_tcp_port, "database_url": url, "keys_dir": tmp_path / "keys"}
        values["master_key_file"] = keys_dir / "master.key"
        return make_settings(**values | {"data_dir": tmp_path / "data"} | more)

    return make


async def test_f44_a_connection_leads_to_the_newest_primary_whatever_stands_first(split, url):
    for _ in range(3):
        connection = await connect(url)
        assert await connection.fetchval("select inet_server_port()") == split.new.port
        await connection.close()


async def test_f44_a_service_that_starts_gives_a_revoked_key_no_token_and_warns(
    split, url, new_settings, logs
):
    settings = new_settings(url)
    async with TestClient(TestServer(build_app(settings, url), port=settings.port)) as client:
        for key, status in ((split.lost, 401), (split.good, 200)):
            bearer = {"Authorization": f"Bearer {key.key.text}"}
            assert (await client.post("/v1/token", headers=bearer)).status == status
        ready = await client.get("/readyz")
        assert ready.status == 200
        assert (await ready.json())["warnings"] == [
            "several hosts of the database take writes, and the newest is used"
        ]
    (said,) = logs.find("two_primaries")
    assert said["level"] == "error"
    assert said["used"] == f"127.0.0.1:{split.new.port}"
    assert f"127.0.0.1:{split.old.port} (timeline 1)" in said["detail"]


@pytest.fixture
def run_command(keys_dir, tmp_path, monkeypatch):
    """Runs a command in an empty folder, so that it remembers nothing; returns click's result."""

    def run(url, *arguments):
        environment = {"TOKENSVC_DATABASE_URL": url, "TOKENSVC_KEYS_DIR": str(keys_dir)}
        monkeypatch.chdir(tmp_path)
        return CliRunner().invoke(root, arguments, env=environment, prog_name="tokensvc")

    return run


async def test_f44_a_command_that_changes_something_is_refused_while_there_are_two(
    split, url, run_command
):
    key_id = split.good.listed.record.id
    refused = await asyncio.to_thread(run_command, url, "key", "revoke", key_id, "--yes")
    assert refused.exit_code == 6
    assert refused.stdout == ""
    # The key is looked at first, which is allowed and warns.
    # Where logs were configured in this process before, the log has a line as well.
    said = [text for text in refused.stderr.splitlines() if text and not text.startswith("{")]
    *warnings, line = said
    assert all(warning.startswith("warning: ") for warning in warnings), warnings
    assert f"127.0.0.1:{split.old.port} (timeline 1)" in line
    assert line.endswith("is the newest of them, so nothing is done. Stop the other one")
    for node in (split.old, split.new):
        database = await open_database(node.url, max_size=1)
        assert (await load_key(database, key_id)).record.revoked_at is None
        await database.close()


async def test_f44_a_command_that_only_reads_asks_the_newest_and_warns(split, url, run_command):
    key_id = split.lost.listed.record.id

    async def warns():
        shown = await asyncio.to_thread(run_command, url, "key", "show", key_id, "-o", "json")
        assert shown.exit_code == 0
        assert json.loads(shown.stdout)["state"] == "revoked"
        return shown.stderr.startswith("warning: 127.0.0.1:")

    # A node that does not answer in time, on a busy machine, counts as away.
    await until(warns)


READS = (
    "account list",
    "audience list",
    "audit list",
    "capability list",
    "denylist followers",
    "denylist list",
    "key list",
    "signing-key list",
    "tier list",
)


async def test_f44_every_list_can_still_be_read(split, run_command):
    url = split.url(split.old.port, split.new.port)

    async def warns(line):
        shown = await asyncio.to_thread(run_command, url, *line.split())
        assert (line, shown.exit_code) == (line, 0)
        return shown.stderr.startswith("warning:")

    for line in READS:
        await until(lambda line=line: warns(line))


async def test_f44_who_remembers_refuses_the_old_primary_also_when_it_alone_answers(
    split, new_settings, unused_tcp_port, run_command, keys_dir, logs
):
    url = split.url(split.new.port)
    settings = new_settings(url)
    database = await open_primary(settings, url, max_size=1)
    await database.ask_hosts()
    await database.close()
    for url in (split.url(split.old.port, unused_tcp_port), split.url(split.old.port)):
        database = await open_primary(new_settings(url), url, max_size=1)
        with pytest.raises(UnavailableError) as caught:
            async with database.connection():
                pass
        assert caught.value.reason == "database_old_primary"
        await database.close()
    assert len(logs.find("old_primary")) == 2
    remembered = settings.data_dir / FILE_NAME
    (keys_dir / FILE_NAME).write_bytes(remembered.read_bytes())
    try:
        for command in ("list", "revoke"):
            words = ["list"] if command == "list" else ["revoke", "key_0000000000000000", "--yes"]
            refused = await asyncio.to_thread(run_command, url, "key", *words)
            assert refused.exit_code == 6
            assert "is an old primary, because timeline 2 was seen before" in refused.stderr
    finally:
        (keys_dir / FILE_NAME).unlink()


@pytest.fixture
async def new_listener():
    """Listens on a free port of loopback and hands connections to a function."""
    servers = []

    async def listen(handle, port=0):
        servers.append(await asyncio.start_server(handle, "127.0.0.1", port))
        return servers[-1].sockets[0].getsockname()[1]

    yield listen
    for server in servers:
        server.close()


async def _relay(reader, writer):
    """Copy bytes until the end."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def test_f7_a_process_leaves_the_old_primary_as_soon_as_the_new_one_answers(
    split, new_listener, unused_tcp_port, logs
):
    database = await open_database(split.url(split.old.port, unused_tcp_port), max_size=2)
    ask = "select inet_server_port()"
    async with database.connection() as connection:
        assert await connection.fetchval(ask) == split.old.port
    apart = await database.connect_apart()
    assert await database.ask_hosts() is None

    async def lead_to_the_new_one(reader, writer):
        to_server = await asyncio.open_connection("127.0.0.1", split.new.port)
        await asyncio.gather(_relay(reader, to_server[1]), _relay(to_server[0], writer))

    await new_listener(lead_to_the_new_one, unused_tcp_port)
    await database.watch_hosts_once()
    assert database.problem is not None
    assert database.problem.kind == "two_primaries"
    assert apart.is_closed()
    async with database.connection() as connection:
        assert await connection.fetchval(ask) == split.new.port
    assert len(logs.find("two_primaries")) == 1
    await database.close()


async def test_f9_a_host_that_never_answers_does_not_keep_anybody_from_the_primary(
    split, new_listener
):
    async def say_nothing(reader, writer):
        await reader.read()
        writer.close()

    silent = await new_listener(say_nothing)
    database = await open_database(split.url(silent, split.new.port), max_size=3)
    for _ in range(2):
        async with database.connection() as first, database.connection() as second:
            assert await first.fetchval("select 1") == await second.fetchval("select 1")
        assert await database.ask_hosts() is None
    await database.close()


async def test_two_names_of_one_server_are_no_second_primary(split):
    url = split.url(split.new.port, split.new.port).replace("127.0.0.1", "localhost", 1)
    hosts = Hosts(url, Timelines())
    choice = await hosts.find_primary()
    assert (len(choice.writable), choice.problem) == (1, None)
    await (await hosts.connect()).close()


async def test_f44_the_doctor_finds_two_primaries_and_a_synchronous_standby_that_is_absent(
    split, url, run_command
):
    connection = await split.new.connect()
    await connection.execute("alter system set synchronous_standby_names = 'gone'")
    await connection.execute("select pg_reload_conf()")
    try:
        named = "select current_setting('synchronous_standby_names') = 'gone'"
        await until(lambda: connection.fetchval(named))
        done = await asyncio.to_thread(run_command, url, "doctor", "-o", "json")
    finally:
        await connection.execute("alter system reset synchronous_standby_names")
        await connection.execute("select pg_reload_conf()")
        await connection.close()
    assert done.exit_code == 5
    found = {one["check"]: one for one in json.loads(done.stdout) if one["state"] == "fault"}
    assert f"127.0.0.1:{split.old.port} (timeline 1)" in found["two primaries"]["what"]
    assert found["two primaries"]["way_out"] == "Stop the other one"
    assert "gone, and no such standby" in found["synchronous standby"]["what"]
