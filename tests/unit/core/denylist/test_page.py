from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from tests.factories import ISSUER, NOW, parse_page, seconds

from tokensvc.core.denylist.page import (
    MOST_ENTRIES,
    MOST_PAGE_BYTES,
    FeedPage,
    build_page_payload,
    parse_feed_page,
    write_page,
)
from tokensvc.core.denylist.position import Position
from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.errors import InvalidPageError

T = seconds(NOW)
ALL_KINDS = (
    Revocation(kind="jti", value="j1", exp=T + 720),
    Revocation(kind="key", value="key_2", exp=T + 720, upto=T),
    Revocation(kind="account", value="acct_1", exp=1, upto=0),
    Revocation(kind="kid", value="k", exp=2),
)
PAGE = FeedPage(
    issuer=ISSUER,
    issued_at=T,
    expires_at=T + 60,
    cursor=Position(5, "a"),
    head=Position(5, "a"),
    after=None,
    full=True,
    revocations=ALL_KINDS,
)
PAYLOAD = build_page_payload(PAGE)


@pytest.mark.parametrize(
    "page",
    [
        PAGE,
        replace(PAGE, revocations=()),
        replace(PAGE, after=Position(4, "z"), head=Position(7, "b"), full=False),
    ],
    ids=["snapshot", "empty", "delta"],
)
def test_what_is_built_is_what_is_read(page):
    assert parse_page(build_page_payload(page)) == page


def test_t7_a_page_has_an_audience_of_its_own_and_never_a_subject():
    members = {"iss", "aud", "iat", "exp", "cursor", "head", "after", "full", "entries"}
    assert set(PAYLOAD) == members
    assert PAYLOAD["aud"] == "tokensvc:denylist"


@pytest.mark.parametrize("count", [0, 1, 499, 500, 1200])
def test_the_text_of_a_page_is_its_payload(count):
    revocations = (ALL_KINDS * 300)[:count]
    text = b"".join(write_page(PAGE, iter(revocations)))
    assert json.loads(text) == build_page_payload(replace(PAGE, revocations=revocations))


def test_f33_the_longest_page_fits_into_what_followers_read():
    longest = Revocation("account", "x" * 255, 2**53 - 1, 2**53 - 1)
    page = replace(PAGE, revocations=(longest,) * MOST_ENTRIES)
    text = b"".join(write_page(page, page.revocations))
    assert len(base64.b64encode(text)) + 1000 < MOST_PAGE_BYTES
    assert parse_page(json.loads(text)) == page


def test_f33_a_page_with_too_many_entries_is_refused():
    page = replace(PAGE, revocations=(ALL_KINDS[0],) * (MOST_ENTRIES + 1))
    with pytest.raises(InvalidPageError):
        parse_page(build_page_payload(page))


def test_f33_a_page_is_written_and_read_in_steps():
    page = replace(PAGE, revocations=(ALL_KINDS[0],) * 2000)
    assert len(list(write_page(page, page.revocations))) == 6
    assert len(list(parse_feed_page(build_page_payload(page)))) == 3


@pytest.mark.parametrize("name", PAYLOAD)
def test_a_page_that_lacks_a_member_is_refused(name):
    payload = {member: value for member, value in PAYLOAD.items() if member != name}
    with pytest.raises(InvalidPageError) as refusal:
        parse_page(payload)
    assert refusal.value.reason == "malformed_page"


MALFORMED = {
    "iss null": {"iss": None},
    "iat text": {"iat": str(T)},
    "iat fraction": {"iat": T + 0.5},
    "iat true": {"iat": True},
    "iat beyond all clocks": {"iat": 10**400},
    "iat negative": {"iat": -1},
    "exp null": {"exp": None},
    "exp NaN": {"exp": float("nan")},
    "exp beyond all clocks": {"exp": 10**400},
    "aud null": {"aud": None},
    "aud of a token": {"aud": "api"},
    "aud list": {"aud": ["tokensvc:denylist"]},
    "cursor number": {"cursor": 5},
    "cursor beyond the head": {"cursor": "6-a"},
    "cursor at the head with another tag": {"cursor": "5-b"},
    "head number": {"head": 5},
    "head malformed": {"head": "x"},
    "cursor malformed": {"cursor": "5"},
    "after malformed": {"after": "x"},
    "after number": {"after": 5},
    "full number": {"full": 1},
    "full null": {"full": None},
    "entries object": {"entries": {}},
    "entries null": {"entries": None},
    "entry malformed": {"entries": [{"exp": T}]},
    "good entry before a malformed one": {"entries": [{"jti": "j", "exp": T}, {"jti": "j"}]},
}


@pytest.mark.parametrize("changes", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_page_is_refused_as_a_whole(changes):
    with pytest.raises(InvalidPageError, match="malformed") as refusal:
        parse_page(PAYLOAD | changes)
    assert refusal.value.reason == "malformed_page"


def test_unknown_members_are_ignored():
    assert parse_page(PAYLOAD | {"more": 1}) == PAGE


def test_a_page_counts_although_nobody_can_read_what_it_says_of_the_audit_trail():
    assert parse_page(PAYLOAD | {"audit": {"number": "x"}}) == parse_page(PAYLOAD)
