"""Faults that are made for real raise their alerts in a real Prometheus.

The rules are those of `deploy/monitoring/`, but a fault need not last: their `for` is a second.
What cannot be made here in reasonable time (a full queue of 8 GB, a day without a rotation) is left
to the made-up series of `rules_test.yml`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import subprocess
import time
import urllib.request
from urllib.parse import quote

import pytest
from testbed.ports import find_free_port
from testbed.processes import ROOT
from testbed.waiting import PATIENCE, until

from tests.e2e.calls import exchange, new_key, try_exchange
from tokensvc.store.primary import connect

PROMETHEUS = shutil.which("prometheus")
NEWS_OF_KEYS = "update feed_head set seq = seq + 1 where topic = 'signing_key'"
STANDBY = "active_at is null"
ACTIVE = "active_at is not null and revoked_at is null"
QUIET_SECONDS = 5

pytestmark = pytest.mark.skipif(
    PROMETHEUS is None, reason="NO ALERT WAS RAISED: there is no prometheus"
)


@pytest.fixture
async def process(new_process):
    """A service with a Postgres of its own, and a port for its metrics."""
    port = find_free_port()
    started = await asyncio.to_thread(new_process, TOKENSVC_METRICS_PORT=str(port))
    await asyncio.to_thread(started.wait_until_ready)
    return started


@pytest.fixture
async def key(process):
    """A key that was exchanged once: the first exchange connects to Postgres, and takes longer."""
    made = await asyncio.to_thread(new_key, process)
    await asyncio.to_thread(exchange, process.url, made.text)
    return made


@pytest.fixture
async def firing(process, key, tmp_path):
    """Returns the names of the alerts that fire now, of what is measured after an exchange.

    There is another name in it as long as nothing is known.
    """
    del key
    rules = (ROOT / "deploy" / "monitoring" / "rules.yml").read_text()
    (tmp_path / "rules.yml").write_text(re.sub(r"for: \d+[mh]", "for: 1s", rules))
    target, port = process.environment["TOKENSVC_METRICS_PORT"], find_free_port()
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        "rule_files: [rules.yml]\n"
        "scrape_configs:\n"
        "  - job_name: tokensvc\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
    )
    command = [str(PROMETHEUS), f"--config.file={tmp_path / 'prometheus.yml'}"]
    command += [
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (tmp_path / "log").open("wb") as log:
        prometheus = subprocess.Popen(command, stdout=log, stderr=log)

    def ask(query):
        url = f"http://127.0.0.1:{port}/api/v1/query?query={quote(query)}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return json.loads(answer.read())["data"]["result"]

    async def firing():
        try:
            if not await asyncio.to_thread(ask, "up"):
                return {"NothingWasReadYet"}
            found = await asyncio.to_thread(ask, 'ALERTS{alertstate="firing"}')
        except OSError:
            return {"PrometheusDoesNotAnswer"}
        return {one["metric"]["alertname"] for one in found}

    yield firing
    prometheus.kill()
    prometheus.wait(PATIENCE)


@pytest.fixture
async def meddler(process):
    """A connection that may do everything, and waits and holds locks for as long as it wants."""
    opened = await connect(process.database_url)
    for timeout in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
        await opened.execute(f"set {timeout} = 0")
    yield opened
    await opened.close()


async def stays_quiet(firing):
    """Return when nothing has fired for a while; on a busy machine an alert may pass before."""
    quiet_since = time.monotonic()

    async def look():
        nonlocal quiet_since
        if await firing():
            quiet_since = time.monotonic()
        return time.monotonic() - quiet_since > QUIET_SECONDS

    await until(look)


async def fires(firing, *names):
    """Return when all these alerts fire."""

    async def look():
        return set(names) <= await firing()

    await until(look)


@contextlib.asynccontextmanager
async def changed_keys(process, meddler, statement):
    """Change the signing keys, and let no task mend that until the end of the block."""
    blocker = await connect(process.database_url)
    await blocker.execute("set lock_timeout = 0; set statement_timeout = 0")
    await blocker.execute("set idle_in_transaction_session_timeout = 0; begin")
    lock = "lock table signing_key in exclusive mode"
    async with meddler.transaction():
        await meddler.execute(lock)
        # It waits, and is the next to have the lock, before any task of the service.
        locking = asyncio.create_task(blocker.execute(lock))
        waits = "select exists (select from pg_locks where not granted and pid = $1)"
        await until(lambda: meddler.fetchval(waits, blocker.get_server_pid()))
        await meddler.execute(statement)
        await meddler.execute(NEWS_OF_KEYS)
    await locking
    yield
    await blocker.close()


async def exchange_all_the_time(process, key):
    while True:
        await asyncio.to_thread(try_exchange, process.url, key.text)


async def test_f16_f34_faults_raise_their_alerts(process, key, firing, meddler):
    await stays_quiet(firing)

    # The row of a signing key is changed, and changed back.
    for alg in ("EdDSA", "ES256"):
        await meddler.execute(f"update signing_key set alg = '{alg}' where {ACTIVE}")
        await meddler.execute(NEWS_OF_KEYS)
        if alg == "EdDSA":
            await fires(firing, "TokensvcSigningKeyRefused")

    # The trail loses its newest event. Triggers keep all others from doing that.
    await meddler.execute("set session_replication_role = replica")
    await meddler.execute(
        "delete from audit_event where number = (select max(number) from audit_event)"
    )
    await fires(firing, "TokensvcAuditTrailShrank")

    late = (
        f"delete from signing_key where {STANDBY}; "
        f"update signing_key set active_at = active_at - interval '31 days' where {ACTIVE}"
    )
    async with changed_keys(process, meddler, late):
        await fires(firing, "TokensvcNoStandby", "TokensvcRotationOverdue")
    revoked = f"update signing_key set revoked_at = clock_timestamp() where {ACTIVE}"
    async with changed_keys(process, meddler, revoked):
        await fires(firing, "TokensvcNoSigningKey")

    # The heads cannot be read, so the copies grow old; and no exchange can be counted.
    asking = asyncio.create_task(exchange_all_the_time(process, key))
    async with meddler.transaction():
        await meddler.execute("lock table feed_head, api_key_window in access exclusive mode")
        await fires(firing, "TokensvcCopyIsOld", "TokensvcBatchesFail", "TokensvcExchangesFail")
    asking.cancel()

    await asyncio.to_thread(process.kill)
    await fires(firing, "TokensvcDown")
