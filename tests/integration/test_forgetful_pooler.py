"""A pooler that forgets prepared statements, or refuses our settings, is recognised at the start.

PgBouncer before 1.21 is one, such as that of Debian 12, and every one without
`max_prepared_statements`. With it one request of several would fail, at random.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from testbed.pooler import can_pool, running_pooler

from tokensvc.core.errors import StartRefusedError
from tokensvc.issuer.start import initialise
from tokensvc.store.pool import open_database

pytestmark = pytest.mark.skipif(
    not can_pool(), reason="needs PgBouncer, of any version, in the path or named by PGBOUNCER"
)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prepared": 0}, "the pooler forgets prepared statements.*PgBouncer 1.21 or newer"),
        (
            {"ignored": "extra_float_digits"},
            "unsupported startup parameter.*ignore_startup_parameters as docs/operations.md",
        ),
    ],
)
async def test_a_pooler_that_cannot_be_used_refuses_the_start(
    new_database_url, session_folder, settings, options, said
):
    direct = await asyncio.to_thread(new_database_url, "empty")
    folder = Path(tempfile.mkdtemp(dir=session_folder))
    async with running_pooler(direct, folder, **options) as url:
        database = await open_database(url, max_size=2)
        with pytest.raises(StartRefusedError, match=f"^TOKENSVC_DATABASE_URL: .*{said}"):
            await initialise(database, settings)
        await database.close()
