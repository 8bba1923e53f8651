from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.factories import ISSUER, NOW, seconds

from tokensvc.core.denylist.followed import FollowedDenylist
from tokensvc.core.denylist.page import Page, build_page_payload, parse_page
from tokensvc.core.denylist.position import Position
from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.denylist.revoked import Denylist
from tokensvc.core.errors import InvalidPageError

T = seconds(NOW)
ONE = Revocation(kind="jti", value="j1", exp=T + 720)
TWO = Revocation(kind="key", value="key_2", exp=T + 720, upto=T)


def page(**changes) -> Page:
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


def delta(after: str, cursor: str, **changes) -> Page:
    (from_seq, from_tag), (to_seq, to_tag) = after.split("-"), cursor.split("-")
    places = {
        "after": Position(int(from_seq), from_tag),
        "cursor": Position(int(to_seq), to_tag),
        "full": False,
    }
    return page(**{"revocations": (TWO,)} | places | changes)


# --- the page as JSON ------------------------------------------------------------------------------------------------------

ALL_KINDS = (
    ONE,
    TWO,
    Revocation(kind="account", value="acct_1", exp=1, upto=0),
    Revocation(kind="kid", value="k", exp=2),
)


@pytest.mark.parametrize(
    "sent",
    [page(revocations=ALL_KINDS), page(revocations=()), delta("5-a", "7-b")],
    ids=["snapshot", "empty", "delta"],
)
def test_what_is_built_is_what_is_read(sent):
    assert parse_page(build_page_payload(sent)) == sent


def test_a_page_never_looks_like_a_token():
    assert set(build_page_payload(page())) == {
        "iss",
        "iat",
        "exp",
        "cursor",
        "after",
        "full",
        "entries",
    }


@pytest.mark.parametrize("name", ["iss", "iat", "exp", "cursor", "after", "full", "entries"])
def test_a_page_that_lacks_something_is_refused(name):
    payload = build_page_payload(page())
    del payload[name]
    with pytest.raises(InvalidPageError) as refusal:
        parse_page(payload)
    assert refusal.value.reason == "malformed_page"


MALFORMED = {
    "iss null": {"iss": None},
    "iat text": {"iat": str(T)},
    "iat fraction": {"iat": T + 0.5},
    "iat true": {"iat": True},
    "exp null": {"exp": None},
    "exp NaN": {"exp": float("nan")},
    "cursor number": {"cursor": 5},
    "cursor malformed": {"cursor": "5"},
    "after malformed": {"after": "x"},
    "after number": {"after": 5},
    "full number": {"full": 1},
    "full null": {"full": None},
    "entries object": {"entries": {}},
    "entries null": {"entries": None},
    "entry text": {"entries": ["j1"]},
    "entry null": {"entries": [None]},
    "entry empty": {"entries": [{}]},
    "entry names nothing": {"entries": [{"exp": T}]},
    "entry names two things": {"entries": [{"jti": "j", "kid": "k", "exp": T}]},
    "entry of an unknown kind": {"entries": [{"session": "s", "exp": T}]},
    "value number": {"entries": [{"jti": 1, "exp": T}]},
    "value empty": {"entries": [{"jti": "", "exp": T}]},
    "value of 256 letters": {"entries": [{"jti": "x" * 256, "exp": T}]},
    "exp missing": {"entries": [{"jti": "j"}]},
    "exp of entry text": {"entries": [{"jti": "j", "exp": "1"}]},
    "key without watermark": {"entries": [{"key": "k", "exp": T}]},
    "account with watermark null": {"entries": [{"account": "k", "exp": T, "upto": None}]},
    "watermark fraction": {"entries": [{"account": "k", "exp": T, "upto": 1.5}]},
    "good one before a bad one": {"entries": [{"jti": "j", "exp": T}, {"jti": "j"}]},
}


@pytest.mark.parametrize("changes", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_page_is_refused_as_a_whole(changes):
    with pytest.raises(InvalidPageError, match="malformed") as refusal:
        parse_page(build_page_payload(page()) | changes)
    assert refusal.value.reason == "malformed_page"


def test_the_longest_name_is_taken_and_unknown_members_are_ignored():
    payload = build_page_payload(page()) | {
        "entries": [{"jti": "x" * 255, "exp": T, "why": "?"}],
        "more": 1,
    }
    assert parse_page(payload).revocations[0].value == "x" * 255


# --- what a follower takes -------------------------------------------------------------------------------------------------


def follower(*pages: Page) -> FollowedDenylist:
    made = FollowedDenylist(ISSUER, Denylist())
    for one in pages:
        made.apply(one, now=float(T), leeway=0.0)
    return made


START = page()


@pytest.mark.parametrize(
    ("taken", "held", "cursor"),
    [
        ([page()], 1, "5-a"),
        ([page(), delta("5-a", "6-b")], 2, "6-b"),
        ([page(), delta("5-a", "5-a", revocations=())], 1, "5-a"),
        ([page(), delta("5-a", "9-d"), delta("9-d", "10-e", revocations=())], 2, "10-e"),
        ([page(), page(cursor=Position(9, "z"), revocations=(TWO,))], 2, "9-z"),
        ([page(), page(revocations=())], 1, "5-a"),
        ([page(), page(issued_at=T - 5)], 1, "5-a"),
    ],
    ids=[
        "snapshot",
        "delta",
        "no news",
        "deltas",
        "snapshot further on",
        "same snapshot, poorer",
        "replica five seconds behind",
    ],
)
def test_pages_in_order_are_taken(taken, held, cursor):
    made = follower(*taken)
    assert (len(made.denylist), str(made.position), made.resets) == (held, cursor, 0)


REFUSED = {
    "wrong issuer": (page(issuer="http://other.example"), "wrong_issuer"),
    "issuer prefix": (page(issuer=ISSUER[:-1]), "wrong_issuer"),
    "expired": (page(issued_at=T - 60, expires_at=T), "page_out_of_date"),
    "from the future": (page(issued_at=T + 1, expires_at=T + 61), "page_out_of_date"),
    "older snapshot": (page(issued_at=T - 6), "page_replayed"),
    "older delta": (delta("5-a", "6-b", issued_at=T - 6), "page_replayed"),
    "gap": (delta("6-b", "7-c"), "page_not_contiguous"),
    "overlap": (delta("4-z", "6-b"), "page_not_contiguous"),
    "other history": (delta("5-x", "6-b"), "page_not_contiguous"),
    "delta from nowhere": (page(full=False), "page_not_contiguous"),
    "backwards": (delta("5-a", "4-z"), "page_goes_backwards"),
    "history goes back, not newer": (page(cursor=Position(4, "z")), "page_replayed"),
    "history goes back, older": (page(cursor=Position(4, "z"), issued_at=T - 1), "page_replayed"),
    "another history of the same second": (page(cursor=Position(5, "x")), "page_replayed"),
}


@pytest.mark.parametrize(("sent", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_page_that_breaks_a_rule_is_refused_and_changes_nothing(sent, reason):
    made = follower(START)
    before = copy.deepcopy((set(made.denylist), made.position, made.page_issued_at, made.resets))
    with pytest.raises(InvalidPageError) as refusal:
        made.apply(sent, now=float(T), leeway=0.0)
    assert refusal.value.reason == reason
    assert (set(made.denylist), made.position, made.page_issued_at, made.resets) == before


@pytest.mark.parametrize(
    "changes",
    [{"iat": 10**400}, {"exp": 10**400}, {"iat": -(10**400)}],
    ids=["iat", "exp", "negative iat"],
)
def test_a_page_with_a_time_beyond_all_floats_is_refused(changes):
    with pytest.raises(InvalidPageError):
        follower(parse_page(build_page_payload(page()) | changes))


def test_a_follower_without_a_position_takes_no_delta():
    with pytest.raises(InvalidPageError) as refusal:
        follower(delta("5-a", "6-b"))
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
    made = FollowedDenylist(ISSUER, Denylist())
    if taken:
        assert made.apply(page(), now=now, leeway=leeway) is False
    else:
        with pytest.raises(InvalidPageError):
            made.apply(page(), now=now, leeway=leeway)


@pytest.mark.parametrize(
    "cursor",
    [Position(4, "z"), Position(5, "x"), Position(0, "t0")],
    ids=["goes back", "other tag", "starts over"],
)
def test_a_reset_is_reported_and_own_entries_are_kept(cursor):
    made = follower(START)
    assert (
        made.apply(
            page(cursor=cursor, issued_at=T + 1, revocations=(TWO,)), now=T + 1.0, leeway=0.0
        )
        is True
    )
    assert made.resets == 1
    assert made.position == cursor
    assert set(made.denylist) == {ONE, TWO}


def test_a_delta_that_keeps_its_place_must_keep_its_tag():
    made = follower(START)
    with pytest.raises(InvalidPageError):
        made.apply(delta("5-a", "5-other"), now=float(T), leeway=0.0)


def test_older_and_older_pages_cannot_walk_a_follower_back_in_time():
    made = follower(START)
    made.apply(page(issued_at=T - 5), now=float(T), leeway=0.0)
    with pytest.raises(InvalidPageError):
        made.apply(page(issued_at=T - 10), now=float(T), leeway=0.0)


def test_taking_a_page_forgets_what_has_expired():
    made = follower(START)
    made.apply(
        page(issued_at=T + 720, expires_at=T + 780, revocations=()), now=T + 720.0, leeway=0.0
    )
    assert len(made.denylist) == 0
