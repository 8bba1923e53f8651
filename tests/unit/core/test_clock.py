"""Postgres's clock is compared with this process's: jumps, wrong clocks, what may be deleted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tokensvc.core.clock import TOLERANCE, ClockState, Reading, find_jump, judge_clock

START = 1_800_000_000.0
TICK = 0.5
steps = st.floats(-90, 3600)


def read(
    on: float,
    *,
    postgres: float = 0.0,
    wall: float = 0.0,
    spent: float = 0.0,
    passed: float | None = None,
) -> Reading:
    """A reading at the monotonic moment `on`; `postgres` and `wall` are how far ahead they are.

    `passed`: what has certainly passed, in seconds since the start.
    """
    return Reading(
        postgres=START + on + postgres,
        wall=START + on + wall,
        on=on,
        spent=spent,
        passed=None if passed is None else START + passed,
    )


def judge(*readings: Reading, is_vouched: bool = False) -> ClockState:
    """What is known after some readings; if `is_vouched`, others believe the first one."""
    first, *others = readings
    state = judge_clock(None, first, is_vouched=is_vouched)
    for reading in others:
        state = judge_clock(state, reading)
    return state


def test_f26_a_jump_away_from_the_wall_clock_blocks_until_both_agree():
    assert not judge(read(0), read(1, postgres=5)).is_blocked
    assert judge(read(0), read(1, postgres=600)).is_blocked
    assert judge(read(0), read(1, postgres=-6)).is_blocked
    assert judge(read(0), read(1, postgres=600), read(5000, postgres=600)).is_blocked
    assert not judge(read(0), read(1, postgres=600), read(2, postgres=4)).is_blocked
    assert not judge(read(0), read(1, postgres=600), read(2, postgres=600, wall=598)).is_blocked


def test_f26_a_wall_clock_that_is_steadily_wrong_blocks_nothing():
    wrong = [read(on, wall=-3600) for on in range(100)]
    state = judge(*wrong, is_vouched=True)
    assert not state.is_blocked
    assert state.latest.difference == 3600
    assert not judge(read(0), read(1, wall=3600), read(2, wall=3600)).is_blocked
    jumped = [*wrong, read(100, wall=-3600, postgres=60)]
    assert judge(*jumped, is_vouched=True).is_blocked
    back = read(101, wall=-3600)
    assert not judge(*jumped, back, is_vouched=True).is_blocked, "the jump was taken back"


def test_f41_jumps_are_not_measured_from_a_clock_that_was_doubted():
    """It was far ahead at the start, and was set right; then it jumps again."""
    right = judge(read(0, postgres=1400), read(1, postgres=1800), read(2))
    assert not right.is_blocked
    jumped = judge_clock(right, read(3, postgres=2855))
    assert jumped.has_jumped
    assert jumped.anchor.reckon(3) == START + 3, "pages are dated by it"
    assert right.earliest == START + 2, "nor is the time counted from it that has passed"
    assert judge_clock(right, read(3, postgres=1400)).earliest == START + 3
    doubted = judge(read(0, postgres=-50, wall=600))
    vouched = judge_clock(doubted, read(1, wall=600), is_vouched=True)
    assert not vouched.is_blocked, "what it differs from was never believed"


def test_f26_a_clock_that_differs_from_the_first_reading_on_is_doubted():
    for wrong in ({"postgres": 600.0}, {"postgres": -60.0}, {"wall": 3600.0}):
        doubted = judge(read(0, **wrong), read(1, **wrong))
        assert doubted.is_blocked
        assert doubted.collectable_at is None
        assert not judge_clock(doubted, read(2)).is_blocked, "the wrong one was set right"
        vouched = judge_clock(doubted, read(2, **wrong), is_vouched=True)
        assert not vouched.is_blocked
        assert not judge_clock(vouched, read(3, **wrong)).is_blocked, "it stays believed"
    assert not judge(read(0, postgres=5)).is_blocked


def test_f41_the_latest_moment_that_a_clock_has_shown_goes_on_after_a_step_back():
    assert judge(read(0), read(10)).latest_at == START + 10
    assert judge(read(0), read(10, postgres=60), read(20)).latest_at == START + 80
    assert judge(read(0), read(10, postgres=-60), read(20)).latest_at == START + 20


def test_a_jump_towards_the_wall_clock_is_believed_only_if_it_arrives_there():
    ahead = read(0, postgres=600)
    assert not judge(ahead, read(1), is_vouched=True).is_blocked
    for halfway in (300, -600):
        assert judge(ahead, read(1, postgres=halfway), is_vouched=True).is_blocked


def test_where_both_clocks_have_jumped_they_are_believed_while_they_agree():
    both = [read(on, postgres=600, wall=600) for on in range(1, 500)]
    state = judge(read(0), *both)
    assert not state.is_blocked
    assert judge_clock(state, read(500, postgres=600)).is_blocked, "one was set right"
    assert not judge_clock(state, read(500, wall=600)).is_blocked
    both = [read(on, postgres=600, wall=600) for on in range(1, 700)]
    assert not judge_clock(judge(read(0), *both), read(700, postgres=600)).is_blocked


def test_many_small_steps_add_up_and_a_slow_drift_does_not():
    assert judge(*(read(on, postgres=on * 0.02) for on in range(0, 400, 10))).is_blocked
    creeping = [read(float(on), postgres=on * 0.0005) for on in range(0, 100_000, 100)]
    assert not judge(*creeping).is_blocked


def test_an_answer_that_took_long_is_no_jump():
    assert not judge(read(0), read(1, postgres=20, spent=20)).is_blocked
    assert not judge(read(0, postgres=20, spent=20), read(30)).is_blocked
    assert judge(read(0), read(1, postgres=26, spent=20)).is_blocked


def test_f42_only_what_all_clocks_call_expired_is_collected():
    assert judge(read(0), read(10)).collectable_at == START + 10
    assert judge(read(0), read(10, postgres=3)).collectable_at == START + 10
    assert judge(read(0), read(10, postgres=-3)).collectable_at == START + 7
    assert judge(read(0), read(10, postgres=600)).collectable_at is None
    assert judge(read(0), read(10, wall=600)).collectable_at is None
    both = [read(on, postgres=3600, wall=3600) for on in range(10, 70_000, 100)]
    assert judge(read(0), *both).collectable_at == START + both[-1].on, "elapsed time counts"


def test_what_is_collected_catches_up_a_day_after_the_clocks_were_put_right():
    right = [read(on, postgres=3600, wall=3600) for on in range(10, 90_000, 100)]
    assert judge(read(0), *right).collectable_at == START + right[-1].on + 3600


@given(st.lists(st.tuples(st.sampled_from(["postgres", "wall"]), steps), max_size=30))
def test_f42_whatever_the_clocks_do_nothing_that_lives_is_collected(moves):
    """The real time is that of the monotonic clock, and both clocks were right at the start."""
    ahead = {"postgres": 0.0, "wall": 0.0}
    state, on = judge(read(0)), 0.0
    for name, step in moves:
        ahead[name] = step
        for _ in range(6):
            on += TICK
            state = judge_clock(state, read(on, **ahead))
            assert state.collectable_at is None or state.collectable_at <= START + on


@given(st.lists(st.tuples(st.sampled_from(["postgres", "wall"]), steps), max_size=30))
def test_f26_postgres_clock_is_believed_only_where_it_was_or_where_the_wall_clock_is(moves):
    ahead = {"postgres": 0.0, "wall": 0.0}
    state, on = judge(read(0)), 0.0
    for name, step in [*moves, ("wall", 0.0), ("postgres", 0.0)]:
        ahead[name] = step
        for _ in range(6):
            on += TICK
            state = judge_clock(state, read(on, **ahead))
            is_elsewhere = abs(ahead["postgres"] - ahead["wall"]) > TOLERANCE + 0.001
            if abs(ahead["postgres"]) > TOLERANCE + 0.001 and is_elsewhere:
                assert state.is_blocked
    assert not state.is_blocked, "the clocks agree again"


@given(steps, st.floats(0, 3), st.floats(0, 3))
def test_a_jump_is_never_overestimated(jump, spent_first, spent_then):
    """Postgres may have read its clock at any moment while it was asked."""
    first = read(0, postgres=spent_first, spent=spent_first)
    for postgres in (jump, jump + spent_then):
        then = read(10, postgres=postgres, spent=spent_then)
        assert abs(find_jump(first, then)) <= abs(jump) + 1e-6


def test_what_the_clock_should_say_is_reckoned_from_the_middle_of_the_answer():
    assert read(10, spent=2).reckon(15) == START + 14


def test_f41_the_doubt_covers_every_clock_also_where_two_of_them_agree():
    assert judge(read(0), read(10)).doubt == 0
    assert judge(read(0), read(10, postgres=2000)).doubt == 2000
    assert judge(read(0), read(10, postgres=2000, wall=2000)).doubt == 2000
    assert judge(read(0), read(10, wall=-60)).doubt == 60
    assert judge(read(0), read(10, postgres=2000), read(11)).doubt == 2000, "it was ahead before"


def test_f42_a_process_that_starts_while_both_clocks_are_ahead_goes_by_what_has_passed():
    for wall in (2349.0, 3323.0):  # also if they agree, and are believed
        wrong = [read(on, postgres=3323, wall=wall, passed=on - 4) for on in range(3)]
        state = judge(*wrong)
        assert state.earliest == START - 2
        assert state.collectable_at == (START - 2 if wall == 3323 else None)
        right = judge_clock(state, read(3, passed=-1))
        assert right.earliest == START - 1, "elapsed time counts"


def test_f42_what_has_passed_is_never_later_than_the_clocks_of_the_process():
    assert judge(read(0, passed=3600)).earliest == START
    assert judge(read(0, postgres=-60, passed=0)).earliest == START - 60
