from __future__ import annotations

from datetime import timedelta

import pytest
from tests.factories import NOW, seconds

from tokensvc.core.denylist.healing import build_reason, find_lost, has_gone_back, parse_ending
from tokensvc.core.denylist.position import Position
from tokensvc.core.denylist.record import ENDINGS
from tokensvc.core.denylist.revocation import KINDS, Revocation

HELD = Position(5, "held")
EXP = seconds(NOW) + 720


def mark(ending, *, after=0.0, value="key_1", exp=EXP, kind="key"):
    at = NOW + timedelta(seconds=after)
    return Revocation(kind=kind, value=value, exp=exp, upto=seconds(at), ending=ending, ended_at=at)


@pytest.mark.parametrize(
    ("head", "tag", "is_due", "gone_back"),
    [
        (HELD, "held", True, False),
        (Position(5, "other"), "other", True, True),
        (Position(4, "older"), None, True, True),
        (Position(4, "older"), None, False, True),
        (Position(6, "newer"), "held", True, False),
        (Position(6, "newer"), "other", True, True),
        (Position(6, "newer"), "other", False, True),
        (Position(6, "newer"), None, True, True),
        (Position(6, "newer"), None, False, False),
    ],
)
def test_a_history_has_gone_back_if_it_does_not_hold_what_was_acknowledged(
    head, tag, is_due, gone_back
):
    assert has_gone_back(HELD, head, tag, is_due=is_due) is gone_back


@pytest.mark.parametrize("healed", [False, True])
@pytest.mark.parametrize("ending", ENDINGS)
def test_an_ending_is_read_back_from_its_reason(ending, healed):
    for kind in KINDS:
        assert parse_ending(build_reason(ending, healed=healed), kind) == ending


def test_an_ending_in_other_words_is_taken_for_one_that_gives_nothing_back():
    assert [parse_ending("by hand", kind) for kind in KINDS] == [
        "token revoked",
        "key disabled",
        "account suspended",
        "signing key revoked",
    ]


def test_what_is_present_is_not_lost_and_neither_is_what_has_expired():
    token = Revocation(kind="jti", value="t", exp=EXP)
    assert find_lost([token], [token], seconds(NOW)) == []
    assert find_lost([token], [], seconds(NOW)) == [token]
    assert find_lost([token], [], EXP) == []
    assert find_lost([token], [Revocation(kind="kid", value="t", exp=EXP)], seconds(NOW)) == [token]


@pytest.mark.parametrize(
    ("present", "covers"),
    [
        (mark("key disabled"), True),
        (mark("key revoked"), True),
        (mark("key deleted", after=1), True),
        (mark("tokens ended", after=1), False),
        (mark("key disabled", after=-0.000_001), False),
        (mark("key disabled", exp=EXP - 1), False),
        (mark("key disabled", value="key_2"), False),
    ],
)
def test_an_entry_is_covered_by_one_that_is_as_late_as_long_and_as_hard(present, covers):
    assert (find_lost([mark("key disabled")], [present], seconds(NOW)) == []) is covers


def test_of_several_for_one_thing_only_what_the_hardest_leaves_open_is_lost():
    disabled, ended, revoked = (
        mark("key disabled"),
        mark("tokens ended", after=5),
        mark("key revoked", after=9),
    )
    assert find_lost([disabled, ended, revoked], [], seconds(NOW)) == [revoked]
    lost = find_lost([disabled, ended], [], seconds(NOW))
    assert {entry.ending for entry in lost} == {"key disabled", "tokens ended"}, (
        "the key, and the tokens that it got later"
    )


def test_what_was_lost_comes_in_the_order_in_which_rows_are_locked():
    entries = [
        Revocation(kind="kid", value="a", exp=EXP),
        Revocation(kind="jti", value="b", exp=EXP),
        mark("key revoked", value="key_b"),
        mark("key revoked", value="key_a"),
        mark("account deleted", value="acct_z", kind="account"),
    ]
    assert [entry.value for entry in find_lost(entries, [], seconds(NOW))] == [
        "acct_z",
        "key_a",
        "key_b",
        "b",
        "a",
    ]


def test_an_entry_of_which_only_seconds_are_known_counts_by_them():
    plain = Revocation(kind="key", value="key_1", exp=EXP, upto=seconds(NOW))
    assert find_lost([plain], [mark("key disabled")], seconds(NOW)) == []
    assert find_lost([plain], [mark("tokens ended")], seconds(NOW)) == [plain]
