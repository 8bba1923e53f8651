"""Rotation: before its time, after it, asked for, and by two processes at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.integration.rotating import check_one_makes_a_successor
from tests.integration.things import ACTOR, age_signing_keys
from tests.rows import list_events

from tokensvc.core.audit_event import AuditFilter
from tokensvc.core.errors import ConflictError
from tokensvc.issuer.signing.listing import list_signing_keys_with_phase
from tokensvc.issuer.signing.rotation import Urgency, rotate_once


async def phases(database, settings):
    return [listed.phase for listed in await list_signing_keys_with_phase(database, settings)]


async def test_nothing_is_done_before_its_time(database, settings, started):
    assert await rotate_once(database, settings, started.master_key, actor=ACTOR) is None
    assert sorted(await phases(database, settings)) == ["active", "pending"]


async def test_after_its_period_the_standby_takes_over_and_a_new_one_is_published(
    database, settings, started, connection
):
    await age_signing_keys(connection, timedelta(seconds=settings.rotation_period + 1))
    before = {
        listed.record.kid: listed
        for listed in await list_signing_keys_with_phase(database, settings)
    }
    plan = await rotate_once(database, settings, started.master_key, actor=ACTOR)
    assert plan is not None
    assert plan.kid is not None
    assert before[plan.kid].phase == "pending"
    after = {
        listed.record.kid: listed.phase
        for listed in await list_signing_keys_with_phase(database, settings)
    }
    assert after[plan.kid] == "active"
    assert sorted(after.values()) == ["active", "pending", "retiring"]
    actions = [event.operation for event in await list_events(database, AuditFilter(), most=2)]
    assert actions == ["signing-keys.create", "signing-keys.rotate"]
    await age_signing_keys(connection, timedelta(seconds=3600 + 121))
    assert sorted(await phases(database, settings)) == ["active", "expired", "pending"]


async def test_asking_twice_for_a_rotation_that_is_planned_is_refused(database, settings, started):
    async def rotate():
        urgency = Urgency(asked=True)
        return await rotate_once(
            database, settings, started.master_key, actor=ACTOR, urgency=urgency
        )

    first, second = await rotate(), await rotate()
    assert first is not None
    assert second is not None
    assert not second.new_standby, "the new standby must be in every cache before it signs"
    with pytest.raises(ConflictError, match="a rotation is already planned"):
        await rotate()
    listed = {
        entry.record.kid: entry for entry in await list_signing_keys_with_phase(database, settings)
    }
    assert second.kid is not None
    assert listed[second.kid].record.active_at == second.active_at
    assert second.active_at is not None
    assert second.active_at >= listed[second.kid].safe_to_activate_at


async def test_f18_t36_of_twenty_that_rotate_at_once_one_makes_a_successor(
    database_url, settings, started, connection
):
    await check_one_makes_a_successor(database_url, settings, started, connection, rounds=10)


async def test_a_lost_signer_is_replaced_at_once(database, settings, started, connection):
    await connection.execute(
        "update signing_key set revoked_at = clock_timestamp() where active_at is not null"
    )
    plan = await rotate_once(database, settings, started.master_key, actor=ACTOR)
    assert plan is not None
    assert plan.kid is not None
    assert sorted(await phases(database, settings)) == ["active", "pending", "revoked"]
    await connection.execute("update signing_key set revoked_at = clock_timestamp()")
    plan = await rotate_once(database, settings, started.master_key, actor=ACTOR)
    assert plan is not None
    assert (plan.new_signer, plan.new_standby) == (True, True)
    found = sorted(await phases(database, settings))
    assert found == ["active", "pending", "revoked", "revoked", "revoked"]
