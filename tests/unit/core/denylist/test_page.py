from __future__ import annotations

from dataclasses import replace

import pytest
from tests.factories import ISSUER, NOW, seconds

from tokensvc.core.denylist.page import Page, build_page_payload, parse_page
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
PAGE = Page(
    issuer=ISSUER,
    issued_at=T,
    expires_at=T + 60,
    cursor=Position(5, "a"),
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
        replace(PAGE, after=Position(5, "a"), cursor=Position(7, "b"), full=False),
    ],
    ids=["snapshot", "empty", "delta"],
)
def test_what_is_built_is_what_is_read(page):
    assert parse_page(build_page_payload(page)) == page


def test_a_page_never_looks_like_a_token():
    assert set(PAYLOAD) == {"iss", "iat", "exp", "cursor", "after", "full", "entries"}


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
    "cursor number": {"cursor": 5},
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
