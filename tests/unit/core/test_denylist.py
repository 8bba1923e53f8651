from __future__ import annotations

import pytest
from tests.factories import ACCOUNT_ID, KEY_ID, NOW, make_claims, make_revocation_record, seconds

from tokensvc.core.denylist.log import DenylistLog
from tokensvc.core.denylist.position import Position, parse_cursor
from tokensvc.core.denylist.revocation import KINDS, Revocation
from tokensvc.core.denylist.revoked import Denylist, list_revocable
from tokensvc.core.errors import InvalidRequestError
from tokensvc.core.identifier import Jti, Kid

T = seconds(NOW)
KID = Kid("kid-1")
CLAIMS = make_claims(jti=Jti("j"), origin_jti=Jti("o"), origin_kid=Kid("ok"))


def entry(kind="jti", value="x", *, exp=T + 720, upto=None):
    return Revocation(kind=kind, value=value, exp=exp, upto=upto)


HITS = {
    "its jti": (entry("jti", "j"), True),
    "the jti it was narrowed from": (entry("jti", "o"), True),
    "another jti": (entry("jti", "other"), False),
    "jti in another case": (entry("jti", "J"), False),
    "its kid": (entry("kid", KID), True),
    "another kid": (entry("kid", "kid-2"), False),
    "its key, later": (entry("key", KEY_ID, upto=T + 1), True),
    "its key, that second": (entry("key", KEY_ID, upto=T), True),
    "its key, a second before": (entry("key", KEY_ID, upto=T - 1), False),
    "another key": (entry("key", "key_other", upto=T), False),
    "its account": (entry("account", ACCOUNT_ID, upto=T), True),
    "its account, a second before": (entry("account", ACCOUNT_ID, upto=T - 1), False),
    "its account id as a key": (entry("key", ACCOUNT_ID, upto=T), False),
    "its key id as an account": (entry("account", KEY_ID, upto=T), False),
    "its jti as a kid": (entry("kid", "j"), False),
    "the key that had signed its origin": (entry("kid", "ok"), True),
    "that key as a jti": (entry("jti", "ok"), False),
}


@pytest.mark.parametrize(("revocation", "hit"), HITS.values(), ids=HITS)
def test_an_entry_denies_what_it_names(revocation, hit):
    denylist = Denylist()
    denylist.add([revocation])
    assert denylist.find_revocation(CLAIMS, KID) == (revocation if hit else None)


def test_a_token_that_was_not_narrowed_has_no_origin():
    denylist = Denylist()
    denylist.add([entry("jti", "o")])
    assert denylist.find_revocation(make_claims(jti=Jti("j")), KID) is None


def test_an_empty_list_denies_nothing():
    assert Denylist().find_revocation(CLAIMS, KID) is None
    assert len(Denylist()) == 0


def test_the_watermark_of_a_key_does_not_hide_that_of_its_account():
    denylist = Denylist()
    denylist.add([entry("key", KEY_ID, upto=T - 1), entry("account", ACCOUNT_ID, upto=T)])
    denial = denylist.find_revocation(CLAIMS, KID)
    assert denial is not None
    assert denial.kind == "account"


def test_a_denied_signing_key_is_known():
    denylist = Denylist()
    denylist.add([entry("kid", "bad"), entry("jti", "kid-1")])
    assert denylist.revokes_kid("bad")
    assert not denylist.revokes_kid(KID)


@pytest.mark.parametrize("turned", [False, True], ids=["strict first", "strict last"])
def test_of_two_entries_for_one_thing_the_stricter_and_longer_holds(turned):
    pair = [
        entry("key", KEY_ID, exp=T + 10, upto=T),
        entry("key", KEY_ID, exp=T + 720, upto=T - 100),
    ]
    denylist = Denylist()
    denylist.add(reversed(pair) if turned else pair)
    assert len(denylist) == 1
    assert denylist.find_revocation(CLAIMS, KID) == entry("key", KEY_ID, exp=T + 720, upto=T)


def test_the_longer_of_two_entries_for_a_token_holds():
    denylist = Denylist()
    denylist.add([entry("jti", "j", exp=T + 100), entry("jti", "j", exp=T + 50)])
    assert denylist.find_revocation(CLAIMS, KID) == entry("jti", "j", exp=T + 100)


def test_entries_are_forgotten_when_they_expire_and_not_before():
    denylist = Denylist()
    denylist.add([entry("jti", "j", exp=T + 100), entry("jti", "k", exp=T + 200)])
    denylist.forget_expired(T + 99.9)
    assert len(denylist) == 2
    denylist.forget_expired(T + 100)  # too soon after the last look
    assert len(denylist) == 2
    denylist.forget_expired(T + 109.9)
    assert len(denylist) == 1
    denylist.forget_expired(T + 200)
    assert len(denylist) == 0


# --- the log ---------------------------------------------------------------------------------------------------------------


def at(seq, tag=None):
    return Position(seq, tag or f"t{seq}")


def row(seq, *, exp=T + 720):
    return make_revocation_record(entry("jti", f"j{seq}", exp=exp), at(seq))


def entries(*seqs, exp=T + 720):
    return tuple(entry("jti", f"j{seq}", exp=exp) for seq in seqs)


def make_log(*seqs, head=None, snapshot=()):
    log = DenylistLog()
    log.reset([row(seq) for seq in snapshot], at(max(snapshot, default=0)))
    if seqs:
        log.append([row(seq) for seq in seqs], at(seqs[-1] if head is None else head))
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
    assert make_log(1, 2, 3, 4).cut(after) == (full, entries(*seqs))


@pytest.mark.parametrize(
    ("after", "page"),
    [
        (None, (True, (3, 5))),
        (at(3), (False, (5,))),
        (at(4), (True, (3, 5))),
        (at(2), (True, (3, 5))),
        (at(5), (False, ())),
    ],
    ids=[
        "nothing known",
        "at an entry",
        "at a dead entry between",
        "before the snapshot",
        "at the head",
    ],
)
def test_a_log_begun_from_a_snapshot_gives_deltas_only_from_what_it_holds(after, page):
    full, seqs = page
    assert make_log(snapshot=(3, 5)).cut(after) == (full, entries(*seqs))


def test_the_head_may_lie_beyond_the_last_live_entry():
    log = make_log(1, 2, head=4)
    assert log.head == at(4)
    assert log.cut(at(2)) == (False, ())
    assert log.cut(at(1)) == (False, entries(2))
    assert log.cut(at(3)) == (True, entries(1, 2))


def test_dead_entries_leave_at_the_old_end_and_deltas_go_on_from_there():
    log = DenylistLog()
    log.reset([], at(0))
    log.append([row(1, exp=T), row(2, exp=T + 100), row(3, exp=T), row(4, exp=T + 100)], at(4))
    log.forget_expired(T)
    assert log.cut(at(1)) == (
        False,
        (*entries(2, exp=T + 100), *entries(3, exp=T), *entries(4, exp=T + 100)),
    )
    assert log.cut(at(0))[0]
    log.forget_expired(T + 100)
    assert log.cut(at(4)) == (False, ())
    assert log.cut(at(3)) == (True, ())


def test_a_log_without_a_head_gives_a_snapshot_of_nothing():
    assert DenylistLog().cut(None) == (True, ())
    assert DenylistLog().cut(at(3)) == (True, ())


def test_a_reset_forgets_what_was_before():
    log = make_log(1, 2, 3)
    log.reset([row(2)], at(2, "restored"))
    assert log.cut(at(3)) == (True, entries(2))
    assert log.head == at(2, "restored")


# --- cursors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "position",
    [Position(0, "a"), Position(42, "9f86d081884c7d65"), Position(10**18 - 1, "Z" * 32)],
    ids=str,
)
def test_a_cursor_names_a_position(position):
    assert parse_cursor(str(position)) == position


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "-a",
        "1-",
        "01-a",
        "-1-a",
        "+1-a",
        " 1-a",
        "1-a ",
        "1-a\n",
        "1-a-b",
        "1-a_b",
        "1.0-a",
        "\u0661-a",
        f"{10**18}-a",
        "1-" + "a" * 33,
    ],
)
def test_anything_else_is_no_cursor(text):
    with pytest.raises(InvalidRequestError, match="after must be a cursor"):
        parse_cursor(text)


def test_there_are_four_kinds_of_revocation():
    assert KINDS == ("jti", "key", "account", "kid")


def test_what_could_deny_a_token_is_named_in_full():
    things = list_revocable(
        make_claims(origin_jti=Jti("origin"), origin_kid=Kid("before")), Kid("kid-1")
    )
    assert {kind for kind, _ in things} == set(KINDS)
    assert {("jti", "origin"), ("kid", "kid-1"), ("kid", "before")} < set(things)
    assert len(list_revocable(make_claims(), Kid("kid-1"))) == 4
