"""Random sequences by callers who would like to have more than they have.

`make fuzz-rights` tries ten thousand of them, which takes half an hour.
"""

from __future__ import annotations

import os

from tests.integration.test_escalation import try_to_escalate

SEQUENCES = int(os.environ.get("ESCALATION_SEQUENCES", "1000"))
STEPS = 12


def test_t30_no_sequence_gives_an_owner_more(database_url, settings):
    called = try_to_escalate(database_url, settings, sequences=SEQUENCES, steps=STEPS)
    assert called > SEQUENCES
