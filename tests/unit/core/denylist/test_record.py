from __future__ import annotations

from typing import get_args

import pytest

from tokensvc.core.denylist.record import ENDINGS, Ending
from tokensvc.core.denylist.revocation import KINDS


@pytest.mark.parametrize("ending", get_args(Ending))
def test_every_ending_has_its_facts(ending):
    facts = ENDINGS[ending]
    assert facts.kind in KINDS
    assert facts.operation.startswith(ending.partition("_")[0])


@pytest.mark.parametrize("ending", ENDINGS)
def test_only_an_ending_that_changes_a_state_can_be_undone(ending):
    facts = ENDINGS[ending]
    assert facts.changes_state or facts.undone_by is None


@pytest.mark.parametrize("kind", ["key", "account"])
def test_the_endings_of_one_thing_differ_in_severity(kind):
    severities = [facts.severity for facts in ENDINGS.values() if facts.kind == kind]
    assert len(set(severities)) == len(severities)
