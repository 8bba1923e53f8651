"""Callers with tokensvc:keys never get more than their own key has."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test
from tests.integration.callers_world import TRIED, World, make_surroundings
from tests.integration.escalation import Escalation
from tests.integration.wishes import FITTING, TOO_MUCH

from tokensvc.operations.key_models import ChangedKeyFields, CreateKey
from tokensvc.operations.operation import ANYBODY
from tokensvc.operations.table import OPERATIONS
from tokensvc.store.pool import open_database

SEQUENCES = 30
STEPS = 12


def try_to_escalate(database_url, service_settings, *, sequences, steps):
    """Run so many random sequences; return how often each operation was accepted, and refused."""
    with asyncio.Runner() as runner:
        database = runner.run(open_database(database_url, max_size=2))
        runner.run(make_surroundings(database, service_settings))
        World.accepted, World.refused = Counter(), Counter()
        World.runner, World.database, World.settings = runner, database, service_settings
        run_state_machine_as_test(
            Escalation,
            settings=hypothesis_settings(
                max_examples=sequences,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        runner.run(database.close())
        return World.accepted, World.refused


def test_t30_random_operations_of_an_owner_never_give_it_more(database_url, settings, databases):
    databases.copy_master_key(settings.keys_dir)
    accepted, refused = try_to_escalate(database_url, settings, sequences=SEQUENCES, steps=STEPS)
    assert accepted.total() + refused.total() > SEQUENCES


def test_everything_is_tried_that_an_owner_may_call_and_say():
    callable_ = {
        operation.name
        for operation in OPERATIONS.values()
        if not operation.is_open
        and (operation.needs == ANYBODY or "tokensvc:keys" in operation.needs)
    }
    assert callable_ == TRIED
    said = {*FITTING, *TOO_MUCH}
    assert said | {"account"} == set(CreateKey.model_fields)
    assert said == set(ChangedKeyFields.model_fields)
