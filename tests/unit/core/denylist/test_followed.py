from __future__ import annotations

from typing import Any

import pytest
from tests.factories import ISSUER, NOW, seconds

from tokensvc.core.denylist.followed import FollowedDenylist
from tokensvc.core.denylist.page import Page
from tokensvc.core.denylist.position import Position
from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.denylist.revoked import Denylist
from tokensvc.core.errors import InvalidPageError

T = seconds(NOW)
ONE = Revocation(kind="jti", value="j1", exp=T + 720)
TWO = Revocation(kind="key", value="key_2", exp=T + 720, upto=T)


def make_page(**changes) -> Page:
    values: dict[str, Any] = {
        "issuer": ISSUER,
        "issued_at": T,
        "expires_at": T + 60,
        "cursor": Position(5, "a"),
        "after": None,
        "full": True,
        "revocations": (ONE,),
    }
    return Page(**values | changes)


def make_delta(after: str, cursor: str, **changes) -> Page:
    (from_seq, from_tag), (to_seq, to_tag) = after.split("-"), cursor.split("-")
    places = {
        "after": Position(int(from_seq), from_tag),
        "cursor": Position(int(to_seq), to_tag),
        "full": False,
    }
    return make_page(**{"revocations": (TWO,)} | places | changes)


def follow(*pages: Page) -> FollowedDenylist:
    made = FollowedDenylist(ISSUER, Denylist())
    for page in pages:
        apply(made, page)
    return made


def apply(followed: FollowedDenylist, page: Page, *, now: float = T, leeway: float = 0) -> bool:
    return followed.apply(page, now=now, leeway=leeway)


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
    "from the future": (make_page(issued_at=T + 1, expires_at=T + 61), "page_out_of_date"),
    "older snapshot": (make_page(issued_at=T - 6), "page_replayed"),
    "older delta": (make_delta("5-a", "6-b", issued_at=T - 6), "page_replayed"),
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
    later = T + 720
    apply(followed, make_page(issued_at=later, expires_at=later + 60, revocations=()), now=later)
    assert len(followed.denylist) == 0
