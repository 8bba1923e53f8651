"""Ten thousand random sequences by callers who would like to have more than they have."""

from __future__ import annotations

from tests.integration.test_escalation import try_to_escalate

SEQUENCES = 10_000
STEPS = 12


def test_ten_thousand_sequences_never_give_an_owner_more(database_url, settings):
    called = try_to_escalate(database_url, settings, sequences=SEQUENCES, steps=STEPS)
    assert called > SEQUENCES
