from __future__ import annotations

from typing import Any

import pytest
from tests.factories import ISSUER, NOW, seconds

from tokensvc.core.denylist.followed import FollowedDenylist
from tokensvc.core.denylist.page import FeedPage
from tokensvc.core.denylist.position import Position
from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.errors import InvalidPageError
from tokensvc.core.identifier import Kid

T = seconds(NOW)
ONE = Revocation(kind="jti", value="j1", exp=T + 720)
TWO = Revocation(kind="key", value="key_2", exp=T + 720, upto=T)


def make_page(**changes) -> FeedPage:
    values: dict[str, Any] = {
        "issuer": ISSUER,
        "issued_at": T,
        "expires_at": T + 60,
        "cursor": Position(5, "a"),
        "after": None,
        "full": True,
        "revocations": (ONE,),
    }
    values |= changes
    return FeedPage(**{"head": values["cursor"]} | values)


def make_delta(after: str, cursor: str, **changes) -> FeedPage:
    (from_seq, from_tag), (to_seq, to_tag) = after.split("-"), cursor.split("-")
    places = {
        "after": Position(int(from_seq), from_tag),
        "cursor": Position(int(to_seq), to_tag),
        "full": False,
    }
    return make_page(**{"revocations": (TWO,)} | places | changes)


GOOD, STOLEN = Kid("good"), Kid("stolen")


def follow(*pages: FeedPage) -> FollowedDenylist:
    made = FollowedDenylist(ISSUER)
    for page in pages:
        apply(made, page)
    return made


def apply(
    followed: FollowedDenylist, page: FeedPage, *, by: Kid = GOOD, now: float = T, leeway: float = 0
) -> bool:
    return followed.apply(page, by, now=now, leeway=leeway)


def state(followed: FollowedDenylist):
    return set(followed.denylist), followed.position, followed.page_issued_at, followed.resets


TAKEN = {
    "snapshot": ([make_page()], 1, "5-a"),
    "delta": ([make_page(), make_delta("5-a", "6-b")], 2, "6-b"),
    "no news": ([make_page(), make_delta("5-a", "5-a", revocations=())], 1, "5-a"),
    "two deltas": (
        [make_page(), make_delta("5-a", "9-d"), make_delta("9-d", "10-e", revocations=())],
        2,
        "10-e",
    ),
    "snapshot further on": (
        [make_page(), make_page(cursor=Position(9, "z"), revocations=(TWO,))],
        2,
        "9-z",
    ),
    "same snapshot with less in it": ([make_page(), make_page(revocations=())], 1, "5-a"),
    "replica five seconds behind": ([make_page(), make_page(issued_at=T - 5)], 1, "5-a"),
}


@pytest.mark.parametrize(("pages", "held", "cursor"), TAKEN.values(), ids=TAKEN)
def test_pages_in_order_are_taken(pages, held, cursor):
    followed = follow(*pages)
    assert (len(followed.denylist), str(followed.position), followed.resets) == (held, cursor, 0)


REFUSED = {
    "wrong issuer": (make_page(issuer="http://other.example"), "wrong_issuer"),
    "issuer prefix": (make_page(issuer=ISSUER[:-1]), "wrong_issuer"),
    "expired": (make_page(issued_at=T - 60, expires_at=T), "page_out_of_date"),
    "from the future": (make_page(issued_at=T + 1, expires_at=T + 61), "page_ahead"),
    "older snapshot": (make_page(issued_at=T - 6), "page_replayed"),
    "older, without news": (
        make_delta("5-a", "5-a", issued_at=T - 6, revocations=()),
        "page_replayed",
    ),
    "gap": (make_delta("6-b", "7-c"), "page_not_contiguous"),
    "overlap": (make_delta("4-z", "6-b"), "page_not_contiguous"),
    "other history": (make_delta("5-x", "6-b"), "page_not_contiguous"),
    "delta from nowhere": (make_page(full=False), "page_not_contiguous"),
    "backwards": (make_delta("5-a", "4-z"), "page_goes_backwards"),
    "history goes back, not newer": (make_page(cursor=Position(4, "z")), "page_replayed"),
    "history goes back, older": (
        make_page(cursor=Position(4, "z"), issued_at=T - 1),
        "page_replayed",
    ),
    "another history of the same second": (make_page(cursor=Position(5, "x")), "page_replayed"),
}


@pytest.mark.parametrize(("page", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_page_that_breaks_a_rule_is_refused_and_changes_nothing(page, reason):
    followed = follow(make_page())
    before = state(followed)
    with pytest.raises(InvalidPageError) as refusal:
        apply(followed, page)
    assert refusal.value.reason == reason
    assert state(followed) == before


def test_f41_an_older_page_with_news_is_applied_and_makes_nothing_fresher():
    followed = follow(make_page())
    apply(followed, make_delta("5-a", "6-b", issued_at=T - 20, expires_at=T + 40))
    assert TWO in set(followed.denylist)
    assert (followed.position, followed.page_issued_at) == (Position(6, "b"), T)


def test_f41_a_watermark_from_a_clock_that_was_ahead_for_a_while_is_held_as_it_is():
    ahead = TWO._replace(upto=T + 90)
    followed = follow(make_page(), make_delta("5-a", "6-b", revocations=(ahead,)))
    assert ahead in set(followed.denylist)


def test_f41_what_a_page_from_the_future_revokes_holds_and_nothing_else_of_it():
    far = T + 3600
    key = Revocation("key", "k", far + 40 * 86_400, upto=far)
    ahead = make_delta("5-a", "6-b", issued_at=far, expires_at=far + 60, revocations=(TWO, key))
    followed = follow(make_page())
    before = state(followed)[1:]
    with pytest.raises(InvalidPageError) as refusal:
        apply(followed, ahead)
    assert refusal.value.reason == "page_ahead"
    assert state(followed)[1:] == before
    bounded = key._replace(exp=T + 31 * 86_400, upto=T + 120)
    assert set(followed.denylist) == {ONE, TWO, bounded}, "bounded by the follower's own clock"
    with pytest.raises(InvalidPageError):
        apply(followed, make_delta("6-b", "7-c", issued_at=far, expires_at=far + 60))
    assert len(followed.denylist) == 3, "a page that does not fit brings nothing"


@pytest.mark.parametrize("behind", [0, 3, 20])
def test_f41_what_a_history_that_goes_back_revokes_holds_before_the_history_is_believed(behind):
    followed = follow(make_page())
    issued_at = T - behind
    back = make_page(
        cursor=Position(4, "z"), revocations=(TWO,), issued_at=issued_at, expires_at=T + 40
    )
    with pytest.raises(InvalidPageError) as refusal:
        apply(followed, back)
    assert refusal.value.reason == "page_replayed"
    assert set(followed.denylist) == {ONE, TWO}
    assert (followed.position, followed.resets) == (Position(5, "a"), 0)


def test_a_follower_without_a_position_takes_no_delta():
    with pytest.raises(InvalidPageError) as refusal:
        follow(make_delta("5-a", "6-b"))
    assert refusal.value.reason == "page_not_contiguous"


@pytest.mark.parametrize(
    ("now", "leeway", "taken"),
    [
        (T + 59.9, 0, True),
        (T + 60, 0, False),
        (T + 89.9, 30, True),
        (T + 90, 30, False),
        (T - 30, 30, True),
        (T - 30.1, 30, False),
    ],
)
def test_a_page_lives_as_long_as_it_says_give_or_take_the_leeway(now, leeway, taken):
    followed = follow()
    if taken:
        assert apply(followed, make_page(), now=now, leeway=leeway) is False
    else:
        with pytest.raises(InvalidPageError):
            apply(followed, make_page(), now=now, leeway=leeway)


@pytest.mark.parametrize(
    "cursor",
    [Position(4, "z"), Position(5, "x"), Position(0, "t0")],
    ids=["goes back", "other tag", "starts over"],
)
def test_a_reset_is_reported_and_the_revocations_held_are_kept(cursor):
    followed = follow(make_page())
    page = make_page(cursor=cursor, issued_at=T + 1, revocations=(TWO,))
    assert apply(followed, page, now=T + 1) is True
    assert (followed.position, followed.resets) == (cursor, 1)
    assert set(followed.denylist) == {ONE, TWO}


def test_a_delta_that_keeps_its_place_must_keep_its_tag():
    followed = follow(make_page())
    with pytest.raises(InvalidPageError):
        apply(followed, make_delta("5-a", "5-other"))


def test_older_and_older_pages_cannot_walk_a_follower_back_in_time():
    followed = follow(make_page(), make_page(issued_at=T - 5))
    with pytest.raises(InvalidPageError):
        apply(followed, make_page(issued_at=T - 10))


def test_taking_a_page_forgets_what_has_expired():
    followed = follow(make_page())
    later = T + 720 + 64
    apply(followed, make_page(issued_at=later, expires_at=later + 60, revocations=()), now=later)
    assert len(followed.denylist) == 0


# --- a long row of pages -------------------------------------------------------------------------

HEAD = Position(9, "z")


def test_f33_a_follower_has_all_only_when_it_has_reached_the_head():
    followed = follow(make_page(head=HEAD))
    assert not followed.has_all
    apply(followed, make_delta("5-a", "7-b", head=HEAD))
    assert not followed.has_all
    apply(followed, make_delta("7-b", "9-z"))
    assert followed.has_all


def test_a_reset_is_judged_by_the_head_and_not_by_the_end_of_the_first_page():
    followed = follow(make_page(cursor=HEAD))
    longer = make_page(head=Position(12, "y"))
    assert apply(followed, longer) is False
    shorter = make_page(head=Position(8, "x"), issued_at=T + 1)
    followed = follow(make_page(cursor=HEAD))
    assert apply(followed, shorter, now=T + 1) is True


def test_a_page_in_the_middle_may_be_older_than_the_one_before_but_not_expired():
    followed = follow(make_page(head=HEAD))
    apply(followed, make_delta("5-a", "7-b", head=HEAD, issued_at=T - 30, expires_at=T + 30))
    with pytest.raises(InvalidPageError):
        apply(followed, make_delta("7-b", "8-c", head=HEAD, issued_at=T - 60, expires_at=T))
    apply(followed, make_delta("7-b", "9-z", issued_at=T - 6))
    assert not followed.has_all, "an older last page does not tell what is missing by now"
    apply(followed, make_delta("9-z", "9-z", revocations=()))
    assert followed.has_all


def test_f33_a_follower_whose_place_is_gone_starts_over_in_the_middle_of_a_row():
    followed = follow(make_page(head=HEAD))
    apply(followed, make_page(cursor=Position(4, "q"), head=HEAD, revocations=(TWO,)))
    assert (followed.position, followed.resets) == (Position(4, "q"), 0)
    assert set(followed.denylist) == {ONE, TWO}


def test_f33_a_page_is_applied_in_steps():
    many = tuple(Revocation("jti", f"j{n}", T + 720) for n in range(5000))
    steps = follow().apply_in_steps(make_page(revocations=many), GOOD, now=T, leeway=0)
    assert sum(1 for _ in steps) == 5


# --- a stolen signing key ------------------------------------------------------------------------

DAY = 86_400
DENIED = Revocation("account", "acct_victim", 2**53 - 1, 2**53 - 1)
REVOKES_STOLEN = Revocation("kid", STOLEN, T + 720)


def held(followed):
    return {revocation.value for revocation in followed.denylist}


def test_t41_no_entry_reaches_further_than_an_honest_issuer_would_let_it():
    followed = FollowedDenylist(ISSUER)
    apply(followed, make_page(revocations=(DENIED, ONE)), leeway=30)
    assert set(followed.denylist) == {
        ONE,
        DENIED._replace(exp=T + 31 * DAY, upto=T + 150),
    }


def test_a_watermark_is_not_cut_off_because_the_clock_of_the_issuer_is_behind():
    followed = FollowedDenylist(ISSUER)
    mark = Revocation("key", "key_a", T + 720, upto=T)
    behind = make_page(issued_at=T - 50, expires_at=T + 10, revocations=(mark,))
    apply(followed, behind)
    assert set(followed.denylist) == {mark}


def test_t41_what_only_a_revoked_key_has_vouched_for_goes_when_all_was_read_again():
    followed = FollowedDenylist(ISSUER)
    apply(followed, make_page(revocations=(ONE,)), by=STOLEN)
    evil = make_delta("5-a", "6-e", revocations=(DENIED,))
    apply(followed, evil, by=STOLEN)
    honest = make_delta("6-e", "7-b", revocations=(TWO, REVOKES_STOLEN))
    apply(followed, honest)
    assert held(followed) >= {"j1", "acct_victim"}, "nothing is let go before the rest is known"
    assert followed.must_read_all
    apply(followed, make_page(cursor=HEAD, revocations=(ONE, TWO, REVOKES_STOLEN)))
    assert held(followed) == {"j1", "key_2", STOLEN}
    assert not followed.must_read_all


def test_t41_a_full_page_of_another_key_is_enough_by_itself():
    followed = FollowedDenylist(ISSUER)
    apply(followed, make_page(revocations=(DENIED,)), by=STOLEN)
    apply(followed, make_page(cursor=HEAD, revocations=(REVOKES_STOLEN,)))
    assert held(followed) == {STOLEN}


def test_t41_a_row_that_the_revoked_key_has_begun_is_read_again():
    followed = FollowedDenylist(ISSUER)
    apply(followed, make_page(head=HEAD, revocations=(ONE,)), by=STOLEN)
    apply(followed, make_delta("5-a", "9-z", revocations=(REVOKES_STOLEN,)))
    assert followed.must_read_all
    assert "j1" in held(followed)


def test_t41_two_keys_that_revoke_each_other_are_left_to_the_jwks():
    followed = FollowedDenylist(ISSUER)
    apply(followed, make_page(revocations=(Revocation("kid", GOOD, T + 720),)), by=STOLEN)
    assert followed.list_judges(GOOD) == [STOLEN]
    apply(followed, make_page(cursor=HEAD, revocations=(REVOKES_STOLEN,)))
    assert held(followed) == {STOLEN}
    assert (followed.list_judges(GOOD), followed.list_judges(STOLEN)) == ([], [GOOD])


def test_f42_a_follower_whose_own_clock_is_ahead_for_a_while_forgets_nothing():
    soon = Revocation(kind="jti", value="soon", exp=T + 30)
    followed = follow(make_page(revocations=(soon,)))
    later = {"expires_at": T + 200}
    apply(followed, make_delta("5-a", "6-b", issued_at=T + 1, **later), now=T + 150)
    assert soon in set(followed.denylist), "the issuer would not send it again"
    apply(followed, make_delta("6-b", "7-c", issued_at=T + 120, **later), now=T + 120)
    assert soon not in set(followed.denylist)


def test_f33_expired_revocations_are_forgotten_in_steps():
    many = tuple(Revocation("jti", f"j{number}", T + 100) for number in range(9_000))
    made = FollowedDenylist(ISSUER)
    made.apply(make_page(revocations=many), GOOD, now=T + 1.0, leeway=0.0)
    assert len(made.denylist) == 9_000
    late = make_delta("5-a", "5-a", issued_at=T + 300, expires_at=T + 360, revocations=())
    steps = sum(1 for _ in made.apply_in_steps(late, GOOD, now=T + 300.0, leeway=0.0))
    assert len(made.denylist) == 0
    assert steps > 0
