from __future__ import annotations

from datetime import timedelta

import pytest
from tests.factories import NOW, seconds

from tokensvc.core.denylist.healing import find_lost, has_gone_back
from tokensvc.core.denylist.position import Position
from tokensvc.core.denylist.record import ENDINGS, RevocationRecord
from tokensvc.core.denylist.revocation import Revocation

HELD = Position(5, "held")
EXP = seconds(NOW) + 720


def mark(ending, *, after=0.0, value="key_1", exp=EXP):
    """A record that ends a key or an account, `after` seconds from now."""
    at = NOW + timedelta(seconds=after)
    return make_record(ending, value, exp=exp, watermark=at)


def make_record(ending, value, *, exp=EXP, watermark=None):
    upto = None if watermark is None else seconds(watermark)
    kind = ENDINGS[ending].kind
    return RevocationRecord(
        position=HELD,
        revocation=Revocation(kind=kind, value=value, exp=exp, upto=upto),
        ending=ending,
        healed=False,
        watermark=watermark,
        created_at=NOW,
    )


@pytest.mark.parametrize(
    ("head", "tag", "in_force", "gone_back"),
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
    ids=[
        "the very place",
        "another tag at the end",
        "ends before",
        "ends before, expired",
        "goes on",
        "another tag",
        "another tag, expired",
        "missing",
        "missing, expired",
    ],
)
def test_a_history_has_gone_back_if_it_does_not_hold_what_was_acknowledged(
    head, tag, in_force, gone_back
):
    assert has_gone_back(HELD, head, tag, in_force=in_force) is gone_back


def test_what_is_present_is_not_lost_and_neither_is_what_has_expired():
    token = make_record("token_revoked", "t")
    assert find_lost([token], [token], seconds(NOW)) == []
    assert find_lost([token], [], seconds(NOW)) == [token]
    assert find_lost([token], [], EXP) == []
    assert find_lost([token], [make_record("signing_key_revoked", "t")], seconds(NOW)) == [token]


@pytest.mark.parametrize(
    ("present", "covers"),
    [
        (mark("key_disabled"), True),
        (mark("key_revoked"), True),
        (mark("key_deleted", after=1), True),
        (mark("key_tokens_revoked", after=1), False),
        (mark("key_disabled", after=-0.000_001), False),
        (mark("key_disabled", exp=EXP - 1), False),
        (mark("key_disabled", value="key_2"), False),
    ],
    ids=["same", "more severe", "later", "less severe", "earlier", "shorter", "another key"],
)
def test_a_record_is_covered_by_one_that_is_as_late_as_long_and_as_severe(present, covers):
    assert (find_lost([mark("key_disabled")], [present], seconds(NOW)) == []) is covers


def test_of_several_for_one_thing_only_what_the_most_severe_leaves_open_is_lost():
    disabled = mark("key_disabled")
    tokens_revoked = mark("key_tokens_revoked", after=5)
    revoked = mark("key_revoked", after=9)
    assert find_lost([disabled, tokens_revoked, revoked], [], seconds(NOW)) == [revoked]
    # The key, and the tokens that it got later.
    lost = find_lost([disabled, tokens_revoked], [], seconds(NOW))
    assert {record.ending for record in lost} == {"key_disabled", "key_tokens_revoked"}


def test_what_was_lost_comes_in_the_order_in_which_rows_are_locked():
    records = [
        make_record("signing_key_revoked", "a"),
        make_record("token_revoked", "b"),
        mark("key_revoked", value="key_b"),
        mark("key_revoked", value="key_a"),
        mark("account_deleted", value="acct_z"),
    ]
    lost = [record.revocation.value for record in find_lost(records, [], seconds(NOW))]
    assert lost == ["acct_z", "key_a", "key_b", "b", "a"]
