"""Where the life of signing keys is drawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from tokensvc.web.dashboard.timeline import build_timeline

NOW = datetime(2026, 11, 26, 14, tzinfo=UTC)
PERIOD = timedelta(days=30)


def make_key(phase, created, active=None, superseded=None, *, alg="ES256"):
    """Return a key; moments are days from now."""

    def at(days):
        return None if days is None else NOW + timedelta(days=days)

    return SimpleNamespace(
        kid=f"{phase}-{created}",
        alg=alg,
        phase=phase,
        created_at=at(created),
        active_at=at(active),
        superseded_at=at(superseded),
        safe_to_remove_at=at(None if superseded is None else superseded + 1),
    )


def draw(*keys):
    return build_timeline(keys, NOW, PERIOD)


def test_the_parts_of_a_life_follow_each_other():
    line = draw(
        make_key("active", -30, -0.5),
        make_key("pending", -0.5),
        make_key("retiring", -60, -30, -0.5),
    )
    active, standby, retiring = line.lanes
    assert [bar.kind for bar in active.bars] == ["wait", "on", "plan"]
    assert [bar.kind for bar in standby.bars] == ["wait", "plan", "plan"]
    assert [bar.kind for bar in retiring.bars] == ["wait", "on", "retire"]
    assert "signs until 26 Dec" in active.words
    assert "signs from 26 Dec" in standby.words
    assert "signed 27 Oct to 26 Nov" in retiring.words


def test_all_is_drawn_within_the_line_and_what_is_past_ends_before_now():
    for age in (0.001, 1, 29, 4000):
        line = draw(make_key("active", -age, -age), make_key("pending", -age))
        assert 0 < line.now < 100
        for lane in line.lanes:
            for bar in lane.bars:
                assert 0 <= bar.x <= bar.x + bar.width <= 100.01
        assert len(line.ticks) <= 7
        assert all(3 < place < 97 for place, _ in line.ticks)


def test_a_standby_of_another_algorithm_does_not_wait_for_this_one():
    line = draw(make_key("active", -9, -9), make_key("pending", -2, alg="EdDSA"))
    assert [bar.kind for bar in line.lanes[1].bars] == ["wait"]
    assert draw().lanes == ()
