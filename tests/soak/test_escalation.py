"""Random sequences by callers who would like to have more than they have.

`make fuzz-rights` tries ten thousand of them, which takes half an hour.
"""

from __future__ import annotations

import os

from tests.integration.test_escalation import try_to_escalate

SEQUENCES = int(os.environ.get("ESCALATION_SEQUENCES", "1000"))
STEPS = 12


def test_t30_no_sequence_gives_an_owner_more(database_url, settings, databases):
    databases.copy_master_key(settings.keys_dir)
    accepted, refused = try_to_escalate(database_url, settings, sequences=SEQUENCES, steps=STEPS)
    print(describe(accepted, refused))
    for name in ("keys.create", "keys.update"):
        share = accepted[name] / (accepted[name] + refused[name])
        assert 0.2 < share < 0.9, name  # what is accepted matters, and what is refused


def describe(accepted, refused):
    """Tell how often each operation was accepted, of how many calls."""
    names = sorted(accepted | refused)
    return "\n".join(f"{name} {accepted[name]}/{(accepted + refused)[name]}" for name in names)
