from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

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


def cut(log, after):
    """Return whether the page is full, and what is in it; it reaches the head."""
    page = log.cut(after)
    assert page.cursor == log.head
    return page.full, tuple(page.records.revocations())


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
    assert cut(make_log(1, 2, 3, 4), after) == (full, revocations(*seqs))


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
    assert cut(make_log(snapshot=(3, 5)), after) == (full, revocations(*seqs))


def test_the_head_may_lie_beyond_the_last_record_that_is_held():
    log = make_log(1, 2, head=4)
    assert log.head == at(4)
    assert cut(log, at(2)) == (False, ())
    assert cut(log, at(1)) == (False, revocations(2))
    assert cut(log, at(3)) == (True, revocations(1, 2))


def test_expired_records_leave_at_the_old_end_and_deltas_go_on_from_there():
    log = DenylistLog(remembered=0)
    log.reset([], at(0))
    soon, late = T, T + 100
    log.append(records(1, exp=soon), at(1))
    log.append(records(2, exp=late), at(2))
    log.append(records(3, exp=soon), at(3))
    log.append(records(4, exp=late), at(4))
    log.forget_expired(T)
    left = (*revocations(2, exp=late), *revocations(3, exp=soon), *revocations(4, exp=late))
    assert cut(log, at(1)) == (False, left)
    assert cut(log, at(0)) == (True, left)
    log.forget_expired(T + 100)
    assert cut(log, at(4)) == (False, ())
    assert cut(log, at(3)) == (True, ())


def test_a_log_without_a_head_gives_a_snapshot_of_nothing():
    assert cut(DenylistLog(), None) == (True, ())
    assert cut(DenylistLog(), at(3)) == (True, ())


def test_a_reset_begins_the_log_anew_and_revokes_on_what_was_revoked():
    log = make_log(1, 2, 3)
    log.reset(records(2), at(2, "restored"))
    assert cut(log, at(3)) == (True, revocations(2))
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


def walk(log, *, most):
    """Return (full, cursor, numbers of the records) of each page of a row."""
    pages: list[tuple[bool, Position | None, list[int]]] = []
    after = None
    while not pages or after != log.head:
        page = log.cut(after, most=most)
        pages.append((page.full, page.cursor, [r.position.seq for r in page.records]))
        after = page.cursor
    return pages


def test_f33_a_long_list_comes_in_pages_that_end_at_multiples_and_follow_on_each_other():
    assert walk(make_log(*range(1, 13)), most=5) == [
        (True, at(5), [1, 2, 3, 4, 5]),
        (False, at(10), [6, 7, 8, 9, 10]),
        (False, at(12), [11, 12]),
    ]


def test_f33_followers_that_begin_at_different_records_soon_ask_for_the_same_pages():
    assert walk(make_log(snapshot=range(3, 20)), most=5) == [
        (True, at(5), [3, 4, 5]),
        (False, at(10), [6, 7, 8, 9, 10]),
        (False, at(15), [11, 12, 13, 14, 15]),
        (False, at(19), [16, 17, 18, 19]),
    ]


def test_f33_a_page_has_at_most_so_many_records_and_few_where_numbers_are_missing():
    seqs = (1, 2, 3, 40, 41, 42, 43, 44, 45, 46, 90, 91)
    pages = walk(make_log(snapshot=seqs), most=5)
    assert [seq for _, _, some in pages for seq in some] == list(seqs)
    assert all(0 < len(some) <= 5 for _, _, some in pages)
    assert len(pages) == 3


def test_what_is_left_comes_in_one_page_if_it_fits():
    assert walk(make_log(*range(3, 8)), most=5) == [(True, at(7), [3, 4, 5, 6, 7])]


def test_f33_who_reads_a_long_list_goes_on_while_its_oldest_records_expire():
    log = make_log(1, 2, 3)
    log.append(records(4, 5, exp=T + 9000), at(5))
    first = log.cut(None, most=2)
    log.forget_expired(T + 720)
    assert first.cursor == at(2)
    assert cut(log, first.cursor) == (False, revocations(4, 5, exp=T + 9000))
    assert cut(log, None) == (True, revocations(4, 5, exp=T + 9000))


def test_positions_of_forgotten_records_are_remembered_up_to_a_number():
    log = DenylistLog(remembered=2)
    log.reset(records(*range(1, 9)), at(8))
    log.forget_expired(T + 720)
    assert len(log) == 0
    assert [log.knows(at(seq)) for seq in range(9)] == [False] * 6 + [True] * 3


def test_a_record_comes_out_of_the_log_as_it_went_in():
    revocation = Revocation(kind="account", value="acct_1", exp=T + 9, upto=T)
    record = replace(
        make_revocation_record(revocation, at(7, "f" * 32)),
        watermark=NOW + timedelta(microseconds=123_457),
        created_at=NOW + timedelta(microseconds=1),
        ending="account_suspended",
        healed=True,
    )
    log = make_log()
    log.append([record], record.position)
    assert list(log) == [record]


def test_the_moment_of_a_record_is_found_if_it_is_one_of_the_newest():
    log = make_log(1, 2, 3)
    assert [log.find_created_at(at(seq), newest=2) for seq in (1, 2, 3)] == [None, NOW, NOW]
    assert log.find_created_at(at(3, "other"), newest=2) is None
    assert log.find_created_at(at(0), newest=9) is None


def test_f33_a_long_part_is_taken_in_in_steps_and_the_log_changes_in_the_last_one():
    log = make_log(1)
    steps = log.append_in_steps(records(*range(2, 1202)), at(1201))
    next(steps)
    assert (len(log), log.head) == (1, at(1))
    assert ("jti", "j2") in log.denylist, "revoked already, and known to be so"
    assert len(list(steps)) == 1
    assert (len(log), log.head) == (1201, at(1201))
    steps = log.reset_in_steps(records(*range(1301, 1901)), at(1900))
    next(steps)
    assert (len(log), log.resets) == (1201, 1)
    assert list(steps) == []
    assert (len(log), log.head, log.resets) == (600, at(1900), 2)
