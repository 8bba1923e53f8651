"""A first start that is killed at any stage is repeated as if nothing had happened."""

from __future__ import annotations

import asyncio
import subprocess

import asyncpg
import pytest
from testbed.processes import EXECUTABLE, clean_environment
from testbed.waiting import until

from tests.integration.start import STAGES, check_all_is_there
from tokensvc.store.pool import open_database
from tokensvc.store.primary import connect


@pytest.mark.parametrize("stage", STAGES)
async def test_a_start_that_was_killed_is_repeated_as_if_nothing_had_happened(
    stage, new_database_url, settings
):
    url = await asyncio.to_thread(new_database_url, "empty")
    database, watcher = await open_database(url, max_size=3), await connect(url)
    environment = {"TOKENSVC_DATABASE_URL": url, "TOKENSVC_KEYS_DIR": str(settings.keys_dir)}
    child = subprocess.Popen(
        [EXECUTABLE, "init"],
        env=clean_environment() | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    async def is_reached():
        if child.poll() is not None:
            return True
        try:
            return await watcher.fetchval(stage)
        except (asyncpg.UndefinedTableError, asyncpg.LockNotAvailableError):
            return False  # it is not made yet, or a migration still holds it

    await until(is_reached)
    child.kill()
    child.wait()
    await check_all_is_there(database, settings)
    await watcher.close()
    await database.close()
