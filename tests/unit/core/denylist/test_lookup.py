from __future__ import annotations

import pytest
from tests.factories import ACCOUNT_ID, KEY_ID, NOW, make_claims, seconds

from tokensvc.core.denylist.lookup import Denylist, list_revocable
from tokensvc.core.denylist.revocation import KINDS, Revocation
from tokensvc.core.identifier import Jti, Kid

T = seconds(NOW)
KID = Kid("kid-1")
CLAIMS = make_claims(jti=Jti("j"), origin_jti=Jti("o"), origin_kid=Kid("ok"))


def revoke(kind, value, *, exp=T + 720, upto=None):
    return Revocation(kind=kind, value=value, exp=exp, upto=upto)


def make_denylist(*revocations):
    denylist = Denylist()
    denylist.add(revocations)
    return denylist


COVERED = {
    "its jti": revoke("jti", "j"),
    "the jti of its origin": revoke("jti", "o"),
    "its kid": revoke("kid", KID),
    "the kid of its origin": revoke("kid", "ok"),
    "its key, a second later": revoke("key", KEY_ID, upto=T + 1),
    "its key, that very second": revoke("key", KEY_ID, upto=T),
    "its account": revoke("account", ACCOUNT_ID, upto=T),
}
NOT_COVERED = {
    "another jti": revoke("jti", "other"),
    "its jti in another case": revoke("jti", "J"),
    "another kid": revoke("kid", "kid-2"),
    "its key, a second before": revoke("key", KEY_ID, upto=T - 1),
    "another key": revoke("key", "key_other", upto=T),
    "its account, a second before": revoke("account", ACCOUNT_ID, upto=T - 1),
    "its account id as a key": revoke("key", ACCOUNT_ID, upto=T),
    "its key id as an account": revoke("account", KEY_ID, upto=T),
    "its jti as a kid": revoke("kid", "j"),
    "the kid of its origin as a jti": revoke("jti", "ok"),
}


@pytest.mark.parametrize("revocation", COVERED.values(), ids=COVERED)
def test_a_token_is_covered_by_a_revocation_of_what_it_names(revocation):
    assert make_denylist(revocation).find_revocation(CLAIMS, KID) == revocation


@pytest.mark.parametrize("revocation", NOT_COVERED.values(), ids=NOT_COVERED)
def test_a_token_is_not_covered_by_any_other_revocation(revocation):
    assert make_denylist(revocation).find_revocation(CLAIMS, KID) is None


def test_a_token_that_was_not_narrowed_has_no_origin():
    denylist = make_denylist(revoke("jti", "o"))
    assert denylist.find_revocation(make_claims(jti=Jti("j")), KID) is None


def test_an_empty_denylist_revokes_nothing():
    assert Denylist().find_revocation(CLAIMS, KID) is None
    assert len(Denylist()) == 0


def test_the_watermark_of_a_key_does_not_hide_that_of_its_account():
    of_key, of_account = revoke("key", KEY_ID, upto=T - 1), revoke("account", ACCOUNT_ID, upto=T)
    assert make_denylist(of_key, of_account).find_revocation(CLAIMS, KID) == of_account


def test_a_revoked_signing_key_is_known():
    denylist = make_denylist(revoke("kid", "bad"), revoke("jti", KID))
    assert denylist.revokes_kid("bad")
    assert not denylist.revokes_kid(KID)


@pytest.mark.parametrize("turned", [False, True], ids=["strict first", "strict last"])
def test_of_two_revocations_of_one_key_the_later_watermark_and_the_longer_life_apply(turned):
    strict = revoke("key", KEY_ID, exp=T + 10, upto=T)
    long = revoke("key", KEY_ID, exp=T + 720, upto=T - 100)
    denylist = make_denylist(long, strict) if turned else make_denylist(strict, long)
    assert list(denylist) == [revoke("key", KEY_ID, exp=T + 720, upto=T)]


def test_of_two_revocations_of_one_token_the_longer_one_applies():
    long, short = revoke("jti", "j", exp=T + 100), revoke("jti", "j", exp=T + 50)
    assert list(make_denylist(long, short)) == [long]


def test_revocations_are_forgotten_when_they_expire_and_not_before():
    denylist = make_denylist(
        revoke("jti", "j", exp=T + 100), revoke("key", KEY_ID, exp=T + 200, upto=T)
    )
    denylist.forget_expired(T + 99.9)
    assert len(denylist) == 2
    denylist.forget_expired(T + 100 + 64)
    assert len(denylist) == 1
    denylist.forget_expired(T + 200 + 64)
    assert len(denylist) == 0


def test_a_revocation_that_got_a_later_end_is_forgotten_at_that_end():
    denylist = make_denylist(revoke("jti", "j", exp=T + 100), revoke("jti", "j", exp=T + 900))
    denylist.forget_expired(T + 800)
    assert list(denylist) == [revoke("jti", "j", exp=T + 900)]
    denylist.forget_expired(T + 1000)
    assert len(denylist) == 0


def test_f33_many_revocations_are_forgotten_some_at_a_time():
    denylist = make_denylist(*(revoke("jti", f"j{n}", exp=T + n % 200) for n in range(1000)))
    sizes = []
    while not denylist.forget_expired(T + 500, most=300):
        sizes.append(len(denylist))
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) >= 3
    assert len(denylist) == 0


def test_what_is_not_over_yet_is_not_looked_at():
    class Moment(float):
        compared = 0

        def __ge__(self, other):
            Moment.compared += 1
            return super().__ge__(other)

    denylist = make_denylist(
        *(revoke("jti", f"j{n}", exp=T + 64 * n) for n in range(1000)),
        *(revoke("key", f"k{n}", exp=T + 64 * n, upto=T) for n in range(1000)),
    )
    assert denylist.forget_expired(Moment(T))
    assert denylist.forget_expired(Moment(T + 64))
    assert (len(denylist), Moment.compared < 20) == (1998, True)


def test_a_copy_forgets_by_itself():
    denylist = make_denylist(revoke("jti", "j", exp=T), revoke("key", KEY_ID, exp=T, upto=T))
    copied = denylist.copy()
    copied.forget_expired(T + 64)
    assert (len(denylist), len(copied)) == (2, 0)


def test_a_copy_holds_the_same_and_goes_its_own_way():
    one, two = revoke("jti", "j"), revoke("account", ACCOUNT_ID, upto=T)
    denylist = make_denylist(one, two)
    copy = denylist.copy()
    copy.add([revoke("kid", "k")])
    assert set(denylist) == {one, two}
    assert set(copy) == {one, two, revoke("kid", "k")}


def test_everything_whose_revocation_would_cover_a_token_is_listed():
    narrowed = list_revocable(CLAIMS, KID)
    assert {kind for kind, _ in narrowed} == set(KINDS)
    assert {("jti", "j"), ("jti", "o"), ("kid", KID), ("kid", "ok")} < set(narrowed)
    assert len(list_revocable(make_claims(), KID)) == 4


def test_each_of_many_revocations_is_found_and_listed_once():
    many = [revoke("jti", f"j{n}", exp=T + n) for n in range(1000)]
    many += [revoke("key", f"k{n}", exp=T + n, upto=T) for n in range(1000)]
    denylist = make_denylist(*many, *many)
    assert len(denylist) == 2000
    assert set(denylist) == set(many)
    assert all((revocation.kind, revocation.value) in denylist for revocation in many)
    assert ("jti", "k1") not in denylist
