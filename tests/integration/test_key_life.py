"""The longest life of new keys, and keys that nobody uses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.integration.things import ACTOR, list_acts, make_key

from tokensvc.core.errors import ForbiddenError
from tokensvc.issuer.admin import api_keys
from tokensvc.issuer.admin.key_life import decide_life, disable_idle_keys_once

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
    assert await disable_idle_keys_once(database, 9 * DAY, remembered.extend) == 1
    assert [record.revocation.value for record in remembered] == [ids["idle"]]
    assert await list_acts(database, ids["idle"]) == ["keys.create", "keys.disable"]
    assert await disable_idle_keys_once(database, 9 * DAY, remembered.extend) == 0
    await api_keys.enable_key(database, ids["idle"], actor=ACTOR)
    assert await disable_idle_keys_once(database, 9 * DAY, remembered.extend) == 0
    for name in ("used", "enabled", "young", "idle"):
        assert (await api_keys.load_key(database, ids[name])).state == "active"
