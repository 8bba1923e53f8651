"""The pages in docs/runbooks: the commands that stand there are run, while what they are for is so.

So a page and its test cannot differ. Each test runs all commands of its page, in their order.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import tempfile
import textwrap
from pathlib import Path

import pytest
from testbed.processes import EXECUTABLE, ROOT, clean_environment
from testbed.waiting import PATIENCE, until, wait_until

from tests.e2e.calls import exchange, exchange_patiently, new_key, try_exchange
from tokensvc.store.embedded import EmbeddedPostgres
from tokensvc.store.postgres_binaries import find_binaries, list_wheel_binaries
from tokensvc.store.primary import connect

PAGES = ROOT / "docs" / "runbooks"
BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
PROGRAMS = find_binaries(None, None)

pytestmark = pytest.mark.skipif(not (PROGRAMS / "psql").is_file(), reason="needs psql")


class Runbook:
    """The commands of a page, which are run one block after the other on the host of a service."""

    def __init__(self, name, process):
        self.process = process
        self.blocks = BLOCK.findall((PAGES / f"{name}.md").read_text())
        self.words = {"URL": process.url}
        self.ran = 0

    def step(self, **words):
        """Run the next block, with `words` for those in capitals; return the output."""
        self.words |= words
        block = textwrap.dedent(self.blocks[self.ran])
        self.ran += 1
        for word, value in self.words.items():
            block = re.sub(rf"\b{word}\b", str(value).replace("\\", r"\\"), block)
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", block],
            cwd=self.process.folder,
            env=clean_environment()
            | self.process.environment
            | {"PATH": f"{EXECUTABLE.parent}:{PROGRAMS}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=4 * PATIENCE,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}"
        return done.stdout

    def end(self, **words):
        """Run what shows that it is over, which is the last block; return the output."""
        wait_until(self.process.is_ready)
        shown = self.step(**words)
        assert self.ran == len(self.blocks), "there are more commands on the page"
        return shown


@pytest.fixture(scope="module")
def start_beside(new_shared_process, databases, session_folder):
    """Starts a service with a database and a master key of its own, and waits until it is ready."""
    urls = []

    def start():
        folder = Path(tempfile.mkdtemp(dir=session_folder))
        folder.chmod(0o755)
        databases.copy_master_key(folder / "keys")
        urls.append(databases.take("started"))
        process = new_shared_process(
            folder=folder, TOKENSVC_DATABASE_URL=urls[-1], TOKENSVC_DRAIN_SECONDS="1"
        )
        process.wait_until_ready()
        return process

    yield start
    for url in urls:
        databases.drop(url)


@pytest.fixture(scope="module")
def shared(start_beside):
    """A service for all pages whose commands leave it as it was."""
    return start_beside()


@pytest.fixture
def open_page(shared):
    return lambda name: Runbook(name, shared)


@pytest.fixture
def open_page_alone(start_beside):
    return lambda name: Runbook(name, start_beside())


def ask(url, statement, *arguments):
    """Return the first value of a statement."""

    async def act():
        connection = await connect(url)
        value = await connection.fetchval(statement, *arguments)
        await connection.close()
        return value

    return asyncio.run(act())


def test_every_page_is_tested_and_listed():
    tests = Path(__file__).read_text()
    names = {page.stem for page in PAGES.glob("*.md")} - {"README"}
    assert len(names) == 15
    listed = (PAGES / "README.md").read_text()
    assert [name for name in names if f"]: {name}.md" not in listed] == []
    assert [name for name in names if f'"{name}"' not in tests] == []


def test_f35_a_stolen_signing_key_signs_for_nobody_any_more(open_page):
    page = open_page("stolen-signing-key")
    token = exchange(page.process.url, new_key(page.process).text)
    kid = ask(
        page.process.database_url,
        "select kid from signing_key where active_at <= now() order by active_at desc limit 1",
    )
    assert kid in page.step(KID=kid)
    assert "revoked" in page.process.cli("token", "inspect", stdin=token).stdout
    page.step()
    assert kid in page.step()
    assert page.ran == len(page.blocks)


def test_a_stolen_api_key_is_disabled_looked_at_and_replaced(open_page, tmp_path):
    page = open_page("stolen-api-key")
    stolen = new_key(page.process)
    exchange(page.process.url, stolen.text)
    page.step(KEY_ID=stolen.id)
    assert try_exchange(page.process.url, stolen.text).status == 401
    (tmp_path / "log").write_text(stolen.text)
    page.step(FILE=tmp_path / "log")
    page.step()
    page.step(ACCOUNT=stolen.account, NAME="new", CAPABILITY="orders:read")
    assert page.end().strip() == "revoked"
    (line,) = (page.process.folder / "new.env").read_text().splitlines()
    assert exchange(page.process.url, line.partition("=")[2].strip("'\""))


def test_a_dump_that_leaked_is_worth_nothing(open_page):
    page = open_page("leaked-dump")
    keys = page.process.folder / "keys"
    before = (keys / "master.key").read_bytes()
    page.step()
    assert (keys / "master.key.old").read_bytes() == before
    assert "can be restored" in page.step()
    assert not (keys / "master.key.old").exists()
    assert (keys / "master.key").read_bytes() != before
    page.end()


def test_a_lost_master_key_is_replaced_and_api_keys_are_not_touched(open_page_alone):
    page = open_page_alone("lost-master-key")
    key = new_key(page.process)
    page.process.stop()
    shutil.rmtree(page.process.folder / "keys")
    assert "is missing" in page.process.cli("init").stderr
    page.step()
    page.step()
    page.process.start()
    page.end()
    assert exchange(page.process.url, key.text)


def test_a_lost_admin_key_is_replaced_on_the_host(open_page):
    page = open_page("lost-admin-key")
    lost = page.step()
    page.step(NAME="ops")
    page.step(KEY_ID=re.findall(r"key_\w{16}", lost)[0])
    assert "tokensvc:admin" in page.end()


def test_a_wrong_clock_is_told_from_a_right_one(open_page):
    page = open_page("wrong-clock")
    assert "clock" in page.step()
    page.end()


def test_a_full_disk_is_explained_and_gets_room(open_page):
    page = open_page("disk-full")
    assert "audit_event" in page.step()
    page.step()
    page.step()
    page.end()


def test_a_slot_that_nobody_reads_is_found_and_dropped(open_page):
    page = open_page("wal-slot")
    url, slot = page.process.database_url, f"left_{page.process.port}"
    before = ask(url, "select current_setting('max_slot_wal_keep_size')")
    ask(url, "select pg_create_physical_replication_slot($1, true)", slot)
    try:
        assert slot in page.step(SLOT=slot)
        page.step()
        page.step()
        assert page.end().split() == ["0", "10GB"]
    finally:
        asyncio.run(reset(url, f"alter system set max_slot_wal_keep_size = '{before}'"))


async def reset(url, statement):
    connection = await connect(url)
    await connection.execute(statement)
    await connection.execute("select pg_reload_conf()")
    await connection.close()


async def test_who_holds_a_lock_is_found_and_ended(open_page):
    page = await asyncio.to_thread(open_page, "locks")
    connection = await connect(page.process.database_url)
    try:
        await connection.execute("set idle_in_transaction_session_timeout = 0")
        await connection.execute("begin; lock table api_key_window in access exclusive mode")
        pid = str(connection.get_server_pid())
        await until(lambda: not page.process.is_ready())
        while f" {pid} " not in await asyncio.to_thread(page.step):
            page.ran = 0  # those that wait give up and come again
        await asyncio.sleep(3)  # as long as the next block calls long
        assert f" {pid} " in await asyncio.to_thread(page.step)
        assert (await asyncio.to_thread(page.step, PID=pid)).strip() == "t"
        await asyncio.to_thread(page.end)
    finally:
        connection.terminate()


def test_who_has_all_connections_is_found(open_page):
    page = open_page("no-connections")
    role = f"hog_{page.process.port}"
    ask(page.process.database_url, f"create role {role}")
    try:
        assert "tokensvc" in page.step(ROLE=role)
        page.step()
        page.end()
    finally:
        ask(page.process.database_url, f"drop role {role}")


def test_what_each_host_says_is_seen(open_page):
    page = open_page("two-primaries")
    shown = page.step(HOST_URL=page.process.database_url)
    assert re.search(r"^f\|\d+\n1$", shown, re.MULTILINE)
    page.step()
    page.end()


def test_f31_a_backup_is_restored_under_a_service_and_what_was_revoked_stays_so(open_page):
    page = open_page("restore")
    kept, revoked = new_key(page.process), new_key(page.process)
    exchange(page.process.url, revoked.text)
    assert page.process.cli("backup", "monday.backup").returncode == 0
    assert page.process.cli("key", "revoke", "--yes", revoked.id).returncode == 0
    page.step(FILE="monday.backup")
    restored = page.step()
    former = re.findall(r"\w+_before_\w+", restored)[0]
    # The service may still be ready here: it notices within a second that the database is another.
    assert exchange_patiently(page.process.url, revoked.text).status == 401
    assert exchange_patiently(page.process.url, kept.text).status == 200
    page.step()
    page.end(FORMER=former)


def test_postgres_is_replaced_by_a_newer_one(open_page_alone, new_folder):
    newer = next(iter(list_wheel_binaries()), None)
    page = open_page_alone("postgres-upgrade")
    key = new_key(page.process)
    page.step()
    page.process.stop()
    postgres = EmbeddedPostgres(new_folder(), bin_dir=newer)
    url = postgres.start()
    page.step(NEW_URL=f"'{url}'")
    page.process.environment["TOKENSVC_DATABASE_URL"] = url
    page.process.start()
    page.end()
    assert exchange(page.process.url, key.text)
    page.process.stop()
    postgres.stop()


def test_the_schema_is_migrated_while_the_service_runs(open_page):
    page = open_page("upgrade")
    page.step()
    assert "applied" in page.step()
    page.step()
    page.end()


def test_where_a_service_is_now_is_seen(open_page):
    page = open_page("capacity")
    page.step()
    page.end()
