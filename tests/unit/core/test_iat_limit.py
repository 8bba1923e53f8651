"""The limit of `iat`: who raises it and when, and what a process remembers of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from tokensvc.core.clock import TOLERANCE
from tokensvc.core.iat_limit import AHEAD, LEAST_AHEAD, IatBounds, IatLimit

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RUN, OTHER_RUN = UUID(int=1), UUID(int=2)


def new_limit(limit: datetime | None = NOW + AHEAD, on: float = 0.0) -> IatLimit:
    """What a process knows that saw `limit` at the moment `on`."""
    known = IatLimit()
    known.note_run(RUN)
    known.note_limit(limit, on)
    return known


def test_f41_the_limit_is_raised_long_before_it_is_reached_and_by_who_believes_the_clock():
    known = new_limit()
    soon = NOW + AHEAD - LEAST_AHEAD
    assert known.find_wanted(soon, is_believed=True) is None
    assert known.find_wanted(soon + SECOND, is_believed=True) == soon + SECOND + AHEAD
    assert known.find_wanted(soon + SECOND, is_believed=False) is None
    assert new_limit(None).find_wanted(NOW, is_believed=True) == NOW + AHEAD
    assert new_limit(None).find_wanted(NOW, is_believed=False) is None


def test_f41_a_limit_that_the_database_has_lost_is_written_again():
    known = new_limit()
    for older in (None, NOW - SECOND):
        known.note_limit(older, 1.0)
        assert not known.allows(NOW), "what counts is the limit that the database has"
        assert known.find_wanted(NOW - 90 * SECOND, is_believed=False) == NOW + AHEAD
        assert known.find_wanted(NOW - 90 * SECOND, is_believed=True) == NOW + AHEAD
        assert known.find_wanted(NOW + SECOND, is_believed=True) == NOW + SECOND + AHEAD


def test_f41_no_token_is_allowed_behind_the_limit():
    known = new_limit()
    most = NOW + AHEAD - TOLERANCE * SECOND
    assert known.allows(most)
    assert not known.allows(most + SECOND)
    assert known.allows(None)
    assert not IatLimit().allows(NOW)


def test_f41_a_floor_is_lacking_in_another_run_and_after_a_backup_was_restored():
    before, limit, later = NOW - SECOND, NOW + AHEAD, NOW + 2 * AHEAD
    for bounds, lacking in (
        (IatBounds(limit, None, RUN), None),
        (IatBounds(later, before, RUN), None),
        (IatBounds(before, before, RUN), limit),
        (IatBounds(before, limit, RUN), None),
        (IatBounds(None, None, None), limit),
        (IatBounds(later, before, OTHER_RUN), limit),
        (IatBounds(later, None, OTHER_RUN), limit),
        (IatBounds(later, limit, OTHER_RUN), None),
    ):
        assert new_limit().find_lacking(bounds) == lacking
        assert IatLimit().find_lacking(bounds) is None, "who knows nothing lacks nothing"


def test_f41_the_moment_that_has_passed_goes_on_and_never_back():
    known = new_limit(on=100.0)
    assert known.reckon_passed(130.0) == NOW + 30 * SECOND
    known.note_limit(NOW + AHEAD + SECOND, 130.0)
    assert known.reckon_passed(130.0) == NOW + 30 * SECOND
    known.note_limit(NOW + AHEAD + 40 * SECOND, 130.0)
    assert known.reckon_passed(131.0) == NOW + 41 * SECOND
    assert IatLimit().reckon_passed(0.0) is None
