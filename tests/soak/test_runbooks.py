"""The pages in docs/runbooks: the commands that stand there are run, while what they are for is so.

So a page and its test cannot differ. Each test runs all commands of its page.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import pytest
from testbed.ports import find_free_port
from testbed.slow_link import SlowLink
from testbed.waiting import wait_until

from tests.e2e.calls import call, exchange, exchange_patiently, new_key, try_exchange
from tests.integration.things import read_payload
from tests.soak.runbook import PAGES, PROGRAMS, ask, opening
from tokensvc.store.embedded import EmbeddedPostgres
from tokensvc.store.postgres_binaries import list_wheel_binaries

REFUSALS = 20
CHANGE_THE_SIGNER = """
update signing_key set alg = 'EdDSA' where kid = (
    select kid from signing_key where active_at <= now() and revoked_at is null
    order by active_at desc limit 1
) returning kid
"""
FAR = 0.1

pytestmark = pytest.mark.skipif(not (PROGRAMS / "psql").is_file(), reason="needs psql")


@pytest.fixture(scope="module")
def start_beside(new_shared_process, databases, session_folder):
    """Starts a service with a database and a master key of its own, and waits until it is ready.

    `reach` changes the URL of the database into one that leads there in another way.
    """
    urls = []

    def start(reach=str, **environment):
        folder = Path(tempfile.mkdtemp(dir=session_folder))
        folder.chmod(0o755)
        databases.copy_master_key(folder / "keys")
        urls.append(databases.take("started"))
        process = new_shared_process(
            folder=folder,
            TOKENSVC_DATABASE_URL=reach(urls[-1]),
            TOKENSVC_DRAIN_SECONDS="1",
            **environment,
        )
        process.wait_until_ready()
        return process

    yield start
    for url in urls:
        databases.drop(url)


@pytest.fixture(scope="module")
def shared(start_beside):
    """A service for all pages whose commands leave it as it was."""
    return start_beside(
        TOKENSVC_REFUSALS_PER_MINUTE=str(REFUSALS), TOKENSVC_NOTICE_ALLOWED_NETWORKS="127.0.0.0/8"
    )


@pytest.fixture
def open_page(shared):
    with opening() as opened:
        yield partial(opened, process=shared)


@pytest.fixture
def open_page_alone(start_beside):
    with opening() as opened:
        yield lambda name, **how: opened(name, start_beside(**how))


def test_every_page_is_tested_and_listed():
    tests = "".join(file.read_text() for file in Path(__file__).parent.glob("test_runbooks*.py"))
    names = {page.stem for page in PAGES.glob("*.md")} - {"README"}
    listed = (PAGES / "README.md").read_text()
    assert set(re.findall(r"^\[\d+\]: (.+)\.md$", listed, re.MULTILINE)) == names
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
    assert kid in page.end()


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
    page.end()
    page.step(FORMER=former)


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


def test_a_process_that_was_killed_is_looked_at_and_started_again(open_page):
    page = open_page("down")
    page.process.kill()
    assert "Failed to connect" in page.step()
    assert re.search(r"^fault +jwks", page.step(), re.MULTILINE)
    page.process.start()
    page.end()


def test_a_follower_that_lags_is_found_and_catches_up(open_page):
    page = open_page("follower-lags")
    key = new_key(page.process, "tokensvc:denylist")
    token = exchange(page.process.url, key.text, audience="tokensvc", scope="tokensvc:denylist")

    def poll(**after):
        """Ask for the page after a cursor; return where it ends."""
        url = f"{page.process.url}/v1/denylist?{urlencode({'follower': 'orders'} | after)}"
        return read_payload(call(url, Authorization=f"Bearer {token}").body.decode())["cursor"]

    cursor = poll(after=poll())
    assert page.process.cli("denylist", "add", "--jti", "0" * 20).returncode == 0
    name = rf"^{key.id}/orders\t"

    def is_shown(state, show, applied):
        """Ask as a follower that runs does, which is not silent; tell whether it has a state."""
        poll(after=applied)
        return re.search(name + state, show(), re.MULTILINE)

    wait_until(lambda: is_shown("lagging", partial(page.run, "followers"), cursor))
    assert "tokensvc:denylist" in page.run("key show", KEY_ID=key.id)
    applied = poll(after=cursor)
    wait_until(lambda: is_shown("current", page.end, applied))


def test_a_changed_signing_key_is_named_and_replaced(open_page):
    page = open_page("signing-keys")
    kid = ask(page.process.database_url, CHANGE_THE_SIGNER)
    ask(page.process.database_url, "update feed_head set seq = seq + 1 where topic = 'signing_key'")
    wait_until(lambda: "signing_key_refused" in page.process.errors)
    shown = page.step()
    assert "signing_key_refused" in shown
    page.step()
    page.run("revoke", KID=kid)
    page.run("signing-key rotate")
    page.end()
    assert exchange(page.process.url, new_key(page.process).text)


def test_a_notice_that_waits_for_a_receiver_is_found(open_page):
    page = open_page("notices-wait")
    made = page.process.cli(
        "notice", "create", f"http://127.0.0.1:{find_free_port()}/", "-o", "json"
    )
    endpoint = json.loads(made.stdout)["id"]
    page.process.cli("key", "revoke", "--yes", new_key(page.process).id)
    wait_until(lambda: "key.revoked" in page.run("--wide"))
    page.step(ENDPOINT_ID=endpoint)
    page.step()
    page.end()


def find_delay(shown):
    """Return after how many seconds Postgres has answered."""
    return float(re.findall(r"answers in ([0-9.]+) s", shown)[0])


async def test_a_service_that_is_far_from_postgres_is_seen(open_page_alone, postgres):
    place = urlsplit(postgres)
    folder, port = (parse_qs(place.query)[name][0] for name in ("host", "port"))
    async with SlowLink(Path(folder) / f".s.PGSQL.{port}") as link:

        def reach(url):
            netloc = f"{place.username}:{place.password}@127.0.0.1:{link.port}"
            return urlunsplit(urlsplit(url)._replace(netloc=netloc, query=""))

        page = await asyncio.to_thread(open_page_alone, "capacity", reach=reach)
        link.delay = FAR
        assert find_delay(await asyncio.to_thread(page.step)) > FAR
        link.delay = 0.0
        while find_delay(await asyncio.to_thread(page.end)) > FAR:
            pass
        await asyncio.to_thread(page.process.stop)


def test_a_network_that_is_refused_often_is_found(open_page):
    page = open_page("floods")
    key = new_key(page.process)
    with ThreadPoolExecutor(REFUSALS) as clients:
        asked = partial(try_exchange, page.process.url, key.text, scope="too:much")
        # Even if a minute ends among them, just one minute has as many as are too many.
        answers = list(clients.map(lambda _: asked(), range(2 * REFUSALS - 1)))
    assert {answer.status for answer in answers} == {400}
    assert "network_refused_often" in page.step()
    page.step(KEY_ID=key.id)
    page.step()
    assert page.end().strip() == "1"
