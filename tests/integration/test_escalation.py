"""Callers with tokensvc:keys never get more than their own key has."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test
from tests.integration.escalation import Escalation, make_audiences

from tokensvc.store.pool import open_database

SEQUENCES = 30
STEPS = 12


def try_to_escalate(database_url, service_settings, *, sequences, steps):
    """Run so many random sequences; return how many operations were called."""
    with asyncio.Runner() as runner:
        database = runner.run(open_database(database_url, max_size=2))
        runner.run(make_audiences(database, service_settings))
        before = Escalation.steps
        Escalation.runner, Escalation.database = runner, database
        Escalation.settings = service_settings
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
        return Escalation.steps - before


def test_random_operations_of_an_owner_never_give_it_more(database_url, settings):
    called = try_to_escalate(database_url, settings, sequences=SEQUENCES, steps=STEPS)
    assert called > SEQUENCES
