"""What a form for a new key begins with is never more than the caller may give."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tokensvc.web.dashboard.key_form import Beginning, find_longest_life

DAY = 86_400
OWN = SimpleNamespace(
    audiences=[], networks=["10.0.0.0/8"], tier=None, own_per_minute=None, own_per_day=None,
    per_minute=60, per_day=5000, self_rotation=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("networks", "kept"),
    [
        ([], ["10.0.0.0/8"]),
        (["10.1.0.0/16", "192.0.2.0/24"], ["10.1.0.0/16"]),
        (["192.0.2.0/24"], ["10.0.0.0/8"]),
    ],
)
def test_a_form_begins_with_networks_within_those_of_the_own_key(networks, kept):
    assert Beginning(networks=networks).narrow(OWN, [], None).networks == kept


@pytest.mark.parametrize(
    ("wanted", "longest", "chosen"),
    [
        ("", None, ""),
        ("", 40 * DAY, str(30 * DAY)),
        (str(90 * DAY), 7 * DAY, str(7 * DAY)),
        ("", 5 * DAY, str(5 * DAY)),
        (str(90 * DAY), 5, "5"),
    ],
)
def test_a_form_begins_with_a_life_that_the_caller_may_give(wanted, longest, chosen):
    assert Beginning(expires_in=wanted).narrow(OWN, [], longest).expires_in == chosen


@pytest.mark.parametrize(
    ("left", "policy", "longest"),
    [
        (None, None, None),
        (None, DAY, DAY),
        (2 * DAY, DAY, DAY),
        (DAY, None, DAY - 3600),
        (600, None, 300),
        (0.5, None, 1),
    ],
)
def test_the_longest_life_ends_before_the_own_key_though_the_form_lies_open(left, policy, longest):
    assert find_longest_life(left, policy) == longest
