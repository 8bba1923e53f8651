"""Everything works through PgBouncer in transaction mode.

It does so with a way past it for the connections that need a session, and without one.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr
from testbed.pooler import keeps_prepared_statements, running_pooler
from testbed.waiting import until
from tests import endings
from tests.integration.things import ACTOR, make_key

from tokensvc.core.errors import InvalidClientError, RateLimitedError, StartRefusedError
from tokensvc.core.exchange import ExchangeRequest
from tokensvc.issuer.service import open_service
from tokensvc.issuer.signing.emergency import revoke_signing_key_now
from tokensvc.issuer.signing.rotation import Urgency, rotate_once
from tokensvc.issuer.start import initialise
from tokensvc.store.pool import open_database

LISTENERS = """
select count(*) from pg_stat_activity
where datname = current_database() and query ilike 'listen%'
"""

pytestmark = pytest.mark.skipif(
    not keeps_prepared_statements(),
    reason="needs PgBouncer >= 1.21 in the path, or named by PGBOUNCER",
)


@dataclass
class Pooler:
    url: str
    direct_url: str


@pytest.fixture
async def pooler(new_database_url, session_folder):
    """A PgBouncer with three connections in front of an empty database."""
    direct = await asyncio.to_thread(new_database_url, "empty")
    async with running_pooler(direct, Path(tempfile.mkdtemp(dir=session_folder))) as url:
        yield Pooler(url, direct)


@pytest.fixture(params=["with a way past it", "alone"])
def pooled(request, pooler, settings):
    """Settings of a service behind the pooler."""
    direct = SecretStr(pooler.direct_url) if request.param != "alone" else None
    return settings.model_copy(
        update={
            "database_url": SecretStr(pooler.url),
            "direct_database_url": direct,
            "verifier_cache": 0,
        }
    )


async def test_f21_two_services_do_all_their_work_through_it(pooler, pooled, logs):
    database = await open_database(pooler.url, max_size=4, direct_url=pooled.direct_url)
    started = (await asyncio.gather(*(initialise(database, pooled) for _ in range(3))))[0]
    keys = [await make_key(database, per_minute=1000) for _ in range(20)]
    async with open_service(pooled, pooler.url) as one, open_service(pooled, pooler.url) as other:

        async def issue(service, key):
            return await service.exchange.issue(ExchangeRequest(credential=key.key), "test")

        tokens = await asyncio.gather(
            *(issue(service, key) for key in keys for service in (one, other) for _ in range(20))
        )
        assert len({token.claims.jti for token in tokens}) == 800

        stopped, token = keys[0], tokens[0]
        await asyncio.gather(
            *(endings.revoke_key(database, key.listed.record.id, actor=ACTOR) for key in keys[:5])
        )
        await one.holders.revoke(tokens[-1].text, "test")
        with pytest.raises(InvalidClientError):
            await issue(other, stopped)
        denied = other.mirror.denylist.log.denylist
        kid = other.mirror.signers.records[0].kid
        await until(
            lambda: _true(
                denied.find_revocation(token.claims, kid)
                and denied.find_revocation(tokens[-1].claims, kid)
            )
        )

        limited = await make_key(database, per_minute=3)
        results = await asyncio.gather(
            *(issue(service, limited) for service in (one, other) * 10), return_exceptions=True
        )
        assert sum(isinstance(result, RateLimitedError) for result in results) == 17

        plan = await rotate_once(
            database,
            pooled,
            started.master_key,
            actor=ACTOR,
            urgency=Urgency(at_once=True, force=True),
        )
        assert plan is not None
        await revoke_signing_key_now(database, pooled, started.master_key, kid, actor=ACTOR)
        await until(lambda: _true(denied.revokes_kid(kid)))
        async with asyncio.timeout(5):
            fresh = await issue(other, keys[-1])
        assert (
            denied.find_revocation(
                fresh.claims,
                other.mirror.signers.find("ES256", other.mirror.postgres_clock.now).kid,
            )
            is None
        )
    await database.close()
    assert [line for line in logs.lines if line["level"] in {"error", "critical"}] == []


async def test_the_listener_goes_past_it(pooler, settings):
    given = settings.model_copy(update={"direct_database_url": SecretStr(pooler.direct_url)})
    database = await open_database(pooler.url, max_size=4, direct_url=given.direct_url)
    await initialise(database, given)
    direct = await asyncpg.connect(pooler.direct_url)
    async with open_service(given, pooler.url):
        await until(lambda: direct.fetchval(f"select ({LISTENERS}) = 1"))
    await direct.close()
    await database.close()


async def test_a_url_that_leads_nowhere_names_its_setting():
    with pytest.raises(StartRefusedError, match="TOKENSVC_DIRECT_DATABASE_URL must look like"):
        await open_database("postgresql://u@h/d", max_size=1, direct_url="mysql://x")


async def _true(value):
    return bool(value)
