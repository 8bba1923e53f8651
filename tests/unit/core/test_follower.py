from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.factories import NOW

from tokensvc.core.errors import InvalidRequestError
from tokensvc.core.follower import FollowerId, FollowerRecord, parse_follower_name

SECOND = timedelta(seconds=1)


def make_follower(*, seq=7, silent_for=SECOND, behind_since=None):
    return FollowerRecord(
        id=FollowerId("key_1", "orders-1"),
        seq=seq,
        seen_at=NOW - silent_for,
        head_seq=7,
        behind_since=behind_since,
        at=NOW,
    )


CURRENT, LAGGING = make_follower(), make_follower(seq=6)
SILENT = make_follower(seq=6, silent_for=61 * SECOND)


@pytest.mark.parametrize(
    ("follower", "state"),
    [
        (CURRENT, "current"),
        (make_follower(seq=8), "current"),
        (LAGGING, "lagging"),
        (make_follower(seq=6, silent_for=60 * SECOND), "lagging"),
        (SILENT, "silent"),
        (make_follower(silent_for=61 * SECOND), "silent"),
    ],
    ids=["all applied", "beyond", "one behind", "for a minute", "for longer", "silent with all"],
)
def test_a_follower_is_silent_after_a_minute_and_else_current_or_lagging(follower, state):
    assert follower.state == state


@pytest.mark.parametrize(
    ("behind_since", "lag"),
    [(None, 0.0), (NOW - 2.5 * SECOND, 2.5), (NOW + SECOND, 0.0)],
    ids=["not behind", "behind", "a clock that went back"],
)
def test_a_follower_lags_since_the_first_revocation_that_it_lacks(behind_since, lag):
    assert make_follower(behind_since=behind_since).lag_seconds == lag


@pytest.mark.parametrize("name", ["a", "orders-1.eu:8080/x@y+z_", "x" * 100])
def test_a_follower_names_itself(name):
    assert parse_follower_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 101, "a b", "a\n", "\u00e9", 'a"'])
def test_any_other_name_is_refused(name):
    with pytest.raises(InvalidRequestError, match="follower must be a name of 1 to 100"):
        parse_follower_name(name)


@pytest.mark.parametrize(
    ("follower", "shown", "proved"),
    [
        (FollowerId("key_1", "orders"), "key_1/orders", True),
        (FollowerId("", "orders"), "orders", False),
        (FollowerId("", "key_1/orders"), "key_1/orders", False),
    ],
)
def test_only_a_follower_with_a_key_has_proved_its_name(follower, shown, proved):
    record = replace(CURRENT, id=follower)
    assert (str(record.id), record.authenticated) == (shown, proved)
