from __future__ import annotations

import pytest
from tests.factories import NOW, make_claims, make_revocation_record, seconds

from tokensvc.core.denylist.log import DenylistLog
from tokensvc.core.denylist.position import Position
from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.identifier import Jti, Kid

T = seconds(NOW)


def at(seq, tag=None):
    return Position(seq, tag or f"t{seq}")


def revocations(*seqs, exp=T + 720):
    return tuple(Revocation(kind="jti", value=f"j{seq}", exp=exp) for seq in seqs)


def records(*seqs, exp=T + 720):
    return [
        make_revocation_record(revocation, at(seq))
        for seq, revocation in zip(seqs, revocations(*seqs, exp=exp), strict=True)
    ]


def make_log(*seqs, head=None, snapshot=()):
    log = DenylistLog()
    log.reset(records(*snapshot), at(max(snapshot, default=0)))
    if seqs:
        log.append(records(*seqs), at(seqs[-1] if head is None else head))
    return log


CUTS = {
    "nothing known": (None, (True, (1, 2, 3, 4))),
    "at the head": (at(4), (False, ())),
    "one behind": (at(3), (False, (4,))),
    "three behind": (at(1), (False, (2, 3, 4))),
    "at the floor": (at(0), (False, (1, 2, 3, 4))),
    "beyond the head": (at(5), (True, (1, 2, 3, 4))),
    "head with another tag": (at(4, "other"), (True, (1, 2, 3, 4))),
    "middle with another tag": (at(2, "other"), (True, (1, 2, 3, 4))),
    "floor with another tag": (at(0, "other"), (True, (1, 2, 3, 4))),
}


@pytest.mark.parametrize(("after", "page"), CUTS.values(), ids=CUTS)
def test_a_page_is_cut_where_the_follower_stands_or_holds_everything(after, page):
    full, seqs = page
    assert make_log(1, 2, 3, 4).cut(after) == (full, revocations(*seqs))


CUTS_AFTER_A_SNAPSHOT = {
    "nothing known": (None, (True, (3, 5))),
    "at a record": (at(3), (False, (5,))),
    "at an expired record between": (at(4), (True, (3, 5))),
    "before the snapshot": (at(2), (True, (3, 5))),
    "at the head": (at(5), (False, ())),
}


@pytest.mark.parametrize(
    ("after", "page"), CUTS_AFTER_A_SNAPSHOT.values(), ids=CUTS_AFTER_A_SNAPSHOT
)
def test_a_log_begun_from_a_snapshot_gives_deltas_only_from_what_it_holds(after, page):
    full, seqs = page
    assert make_log(snapshot=(3, 5)).cut(after) == (full, revocations(*seqs))


def test_the_head_may_lie_beyond_the_last_record_that_is_held():
    log = make_log(1, 2, head=4)
    assert log.head == at(4)
    assert log.cut(at(2)) == (False, ())
    assert log.cut(at(1)) == (False, revocations(2))
    assert log.cut(at(3)) == (True, revocations(1, 2))


def test_expired_records_leave_at_the_old_end_and_deltas_go_on_from_there():
    log = DenylistLog()
    log.reset([], at(0))
    soon, late = T, T + 100
    log.append(records(1, exp=soon), at(1))
    log.append(records(2, exp=late), at(2))
    log.append(records(3, exp=soon), at(3))
    log.append(records(4, exp=late), at(4))
    log.forget_expired(T)
    left = (*revocations(2, exp=late), *revocations(3, exp=soon), *revocations(4, exp=late))
    assert log.cut(at(1)) == (False, left)
    assert log.cut(at(0)) == (True, left)
    log.forget_expired(T + 100)
    assert log.cut(at(4)) == (False, ())
    assert log.cut(at(3)) == (True, ())


def test_a_log_without_a_head_gives_a_snapshot_of_nothing():
    assert DenylistLog().cut(None) == (True, ())
    assert DenylistLog().cut(at(3)) == (True, ())


def test_a_reset_begins_the_log_anew_and_revokes_on_what_was_revoked():
    log = make_log(1, 2, 3)
    log.reset(records(2), at(2, "restored"))
    assert log.cut(at(3)) == (True, revocations(2))
    assert log.head == at(2, "restored")
    assert [record.position for record in log] == [at(2)]
    assert log.denylist.find_revocation(make_claims(jti=Jti("j3")), Kid("k")) is not None


KNOWN = {
    "the head": (at(6), True),
    "the floor": (at(0), True),
    "a record": (at(2), True),
    "a record with another tag": (at(2, "other"), False),
    "between two records": (at(3), False),
    "beyond the head": (at(7), False),
    "the floor with another tag": (at(0, "other"), False),
}


@pytest.mark.parametrize(("position", "known"), KNOWN.values(), ids=KNOWN)
def test_a_position_is_known_if_it_is_a_place_in_this_history(position, known):
    assert make_log(1, 2, 4, head=6).knows(position) is known


def test_whether_the_record_at_the_head_is_in_force_is_told():
    log = make_log(1, 2)
    assert log.is_head_in_force(T + 719.9)
    assert not log.is_head_in_force(T + 720)
    assert not make_log(1, 2, head=4).is_head_in_force(T)
    assert not make_log().is_head_in_force(T)
