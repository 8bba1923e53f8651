"""The longest life of new keys, and keys that nobody uses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.integration.clocks import Clocks
from tests.integration.things import ACTOR, list_acts, make_key
from tests.rows import load_key

from tokensvc.core.errors import ForbiddenError
from tokensvc.issuer.admin import api_keys
from tokensvc.issuer.admin.key_life import decide_life, disable_idle_keys_once
from tokensvc.issuer.mirror.mirror import Mirror
from tokensvc.issuer.tasks import Cleaning

DAY = timedelta(days=1)


def test_a_life_that_is_not_named_is_the_longest():
    assert decide_life(None, is_named=False, longest=DAY) == DAY
    assert decide_life(DAY, is_named=True, longest=DAY) == DAY
    assert decide_life(None, is_named=True, longest=None) is None
    for life in (None, DAY + timedelta(seconds=1)):
        with pytest.raises(ForbiddenError, match="86400 s at most"):
            decide_life(life, is_named=True, longest=DAY)


async def test_idle_keys_are_disabled_and_others_are_not(database, issue, exchange, connection):
    keys = {
        name: await make_key(database, name=name)
        for name in ("idle", "used", "enabled", "young", "off")
    }
    ids = {name: key.listed.record.id for name, key in keys.items()}
    await issue(keys["used"])
    await exchange.usage.flush_once()
    await connection.execute(
        "update api_key set created_at = created_at - interval '10 days' where id = any ($1)",
        [ids[name] for name in ("idle", "used", "enabled", "off")],
    )
    await connection.execute("update api_key set disabled_at = now() where id = $1", ids["off"])
    remembered: list[Any] = []
    await connection.execute(
        "update api_key set enabled_at = now() - interval '1 day' where id = $1", ids["enabled"]
    )
    now = await connection.fetchval("select clock_timestamp()")
    assert await disable_idle_keys_once(database, now, remembered.extend, idle_for=9 * DAY) == 1
    assert [record.revocation.value for record in remembered] == [ids["idle"]]
    assert await list_acts(database, ids["idle"]) == ["keys.create", "keys.disable"]
    assert await disable_idle_keys_once(database, now, remembered.extend, idle_for=9 * DAY) == 0
    await api_keys.enable_key(database, ids["idle"], actor=ACTOR)
    assert await disable_idle_keys_once(database, now, remembered.extend, idle_for=9 * DAY) == 0
    for name in ("used", "enabled", "young", "idle"):
        assert (await load_key(database, ids[name])).state == "active"


async def test_a_key_whose_use_is_not_written_yet_is_not_idle(database, issue, connection):
    key = await make_key(database)
    id_ = key.listed.record.id
    await connection.execute("update api_key set created_at = created_at - interval '10 days'")
    await issue(key)  # and nothing writes `api_key_last_use`
    now = await connection.fetchval("select clock_timestamp()")
    await disable_idle_keys_once(database, now, list[Any]().extend, idle_for=9 * DAY)
    assert (await load_key(database, id_)).state == "active"
    await disable_idle_keys_once(database, now + 9 * DAY, list[Any]().extend, idle_for=9 * DAY)
    assert (await load_key(database, id_)).state == "disabled"


async def test_f42_no_key_is_idle_by_a_clock_that_is_ahead(database, settings, started, connection):
    """Postgres's clock and the wall clock of the process are both five days ahead for a while."""
    key = (await make_key(database)).listed.record.id
    await connection.execute("update api_key set created_at = created_at - interval '10 days'")
    clocks = Clocks()
    mirror = Mirror(database, settings, started.master_key, postgres_clock=clocks.make())
    await mirror.refresh_once()
    cleaning = Cleaning(database, settings.model_copy(update={"idle_key_days": 7}), mirror)
    states = []
    for ahead in (5 * DAY, 0 * DAY):
        clocks.postgres = clocks.wall = ahead.total_seconds()
        await mirror.refresh_once()
        assert mirror.postgres_clock.collectable_at is not None
        await cleaning.disable_idle_keys()
        states.append((await load_key(database, key)).state)
    assert states == ["active", "disabled"]
