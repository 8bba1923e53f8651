"""What a caller may give: never more than its own key has."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokensvc.core.api_key import ApiKeyRecord, KeyTerms, ListedKey
from tokensvc.core.errors import ForbiddenError
from tokensvc.core.granting import (
    Grantor,
    check_names,
    check_standing,
    check_within,
    list_beyond,
    restrict_own_key,
)
from tokensvc.core.identifier import AccountId, KeyId

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def make_record(minute=60, day=5000, expires_at=None, **terms) -> ApiKeyRecord:
    return ApiKeyRecord(
        id=KeyId("key_0000000000000000"),
        account_id=AccountId("acct_0000000000000000"),
        hint="",
        terms=KeyTerms(**{"name": "x", "capabilities": ("a", "b")} | terms),
        created_at=NOW,
        expires_at=expires_at,
        disabled_at=None,
        revoked_at=None,
        last_used_at=None,
        last_used_network=None,
        last_used_audience=None,
        minute_limit=minute,
        day_limit=day,
        predecessor_id=None,
        successor_id=None,
    )


@pytest.mark.parametrize(
    ("own", "other", "beyond"),
    [
        ({}, {"capabilities": ("a",)}, None),
        ({}, {"capabilities": ("a", "c")}, "more capabilities"),
        ({"capabilities": ("a", "*")}, {"capabilities": ("b",)}, "more capabilities"),
        ({"audiences": ("x", "y")}, {"audiences": ("y",)}, None),
        ({"audiences": ("x",)}, {"audiences": ()}, "more audiences"),
        ({"audiences": ("x",)}, {"audiences": ("x", "y")}, "more audiences"),
        ({}, {"audiences": ("y",)}, None),
        ({"networks": ("192.0.2.0/24",)}, {"networks": ("192.0.2.128/25",)}, None),
        ({"networks": ("192.0.2.0/24",)}, {"networks": ("192.0.2.7/32",)}, None),
        ({"networks": ("192.0.2.0/24",)}, {"networks": ("192.0.2.0/23",)}, "more networks"),
        ({"networks": ("192.0.2.0/24",)}, {"networks": ()}, "more networks"),
        ({"networks": ("0.0.0.0/0",)}, {"networks": ("2001:db8::/32",)}, "more networks"),
        ({"networks": ("::/0",)}, {"networks": ("192.0.2.0/24",)}, "more networks"),
        ({"networks": ("2001:db8::/32",)}, {"networks": ("2001:db8:1::/48",)}, None),
        (
            {"networks": ("192.0.2.0/24", "10.0.0.0/8")},
            {"networks": ("10.1.0.0/16", "198.51.100.0/24")},
            "more networks",
        ),
        ({"claims": {"t": 1}}, {"claims": {}}, None),
        ({"claims": {"t": 1}}, {"claims": {"t": 1}}, None),
        ({"claims": {"t": 1}}, {"claims": {"t": 2}}, "other claims"),
        ({"claims": {"t": 1}}, {"claims": {"t": True}}, "other claims"),
        ({"claims": {"t": [1]}}, {"claims": {"t": [1]}}, None),
        ({}, {"claims": {"t": None}}, "other claims"),
        ({}, {"self_rotation": False}, None),
        ({"self_rotation": False}, {}, "more rights to rotate itself"),
        ({}, {"minute": 61}, "a higher limit per minute"),
        ({}, {"minute": 60, "day": 5001}, "a higher limit per day"),
        ({"expires_at": LATER}, {"expires_at": LATER}, None),
        ({"expires_at": LATER}, {"expires_at": LATER + timedelta(seconds=1)}, "a longer life"),
        ({"expires_at": LATER}, {}, "a longer life"),
        ({}, {"expires_at": LATER}, None),
    ],
)
def test_what_another_key_has_more_of_is_named(own, other, beyond):
    found = list_beyond(make_record(**own), make_record(**other))
    assert found == ([] if beyond is None else [beyond])
    if beyond is not None:
        with pytest.raises(ForbiddenError, match=beyond):
            check_within(make_record(**own), make_record(**other))


# What lets a key do no more, whatever it says; its limits are compared as they follow from tiers.
HARMLESS = {"name", "description", "metadata", "limits"}


def test_every_field_that_people_say_of_a_key_is_compared_or_known_to_be_harmless():
    more: dict[str, Any] = {
        "capabilities": ("a", "b", "c"),
        "audiences": ("x", "y"),
        "networks": ("0.0.0.0/0",),
        "claims": {"t": 1},
        "self_rotation": True,
    }
    own = make_record(audiences=("x",), networks=("192.0.2.0/24",), self_rotation=False)
    assert {field.name for field in fields(KeyTerms)} == HARMLESS | set(more)
    for name, value in more.items():
        other = replace(own, terms=replace(own.terms, **{name: value}))
        assert len(list_beyond(own, other)) == 1, name


names = st.sets(st.sampled_from("abc"), max_size=3).map(lambda found: tuple(sorted(found)))
networks = st.lists(
    st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "::/0", "2001:db8::/32"]),
    max_size=3,
).map(tuple)
records = st.builds(
    make_record,
    minute=st.integers(1, 3),
    day=st.integers(1, 3),
    expires_at=st.sampled_from([None, NOW, LATER]),
    capabilities=names.filter(bool),
    audiences=names,
    networks=networks,
    claims=st.dictionaries(st.sampled_from("xy"), st.sampled_from([0, 1, True, "1"]), max_size=2),
    self_rotation=st.booleans(),
)


@given(records, records, records)
def test_whoever_receives_cannot_give_more_than_the_first_giver_has(first, second, third):
    assert list_beyond(first, first) == []
    if not list_beyond(first, second) and not list_beyond(second, third):
        assert list_beyond(first, third) == []


def test_a_narrowed_token_passes_on_no_capability_for_the_service_that_it_lacks():
    own = make_record(capabilities=("orders:read", "tokensvc:admin", "tokensvc:keys"))
    shown = Grantor(own.id, frozenset({"tokensvc:keys"}))
    held = restrict_own_key(own, shown).terms.capabilities
    assert held == ("orders:read", "tokensvc:keys")


def test_names_that_the_caller_lacks_are_refused_whether_they_exist_or_not():
    own = make_record(audiences=("x",))
    check_names(own, ("a",), ("x",))
    check_names(make_record(), (), ("anything",))
    for capabilities, audiences in ((("absent",), ()), ((), ("absent",))):
        with pytest.raises(ForbiddenError, match="an admin can give that"):
            check_names(own, capabilities, audiences)


def test_a_call_does_not_outlive_the_key_that_it_was_made_with():
    record = make_record(capabilities=("tokensvc:keys",))
    active = ListedKey(record, "active", NOW)
    owner = Grantor(record.id, frozenset({"tokensvc:keys"}))
    check_standing(owner, active, is_suspended=False)
    for own, is_suspended in (
        (None, False),
        (active, True),
        (replace(active, state="disabled"), False),
        (replace(active, state="revoked"), False),
        (replace(active, state="expired"), False),
    ):
        with pytest.raises(ForbiddenError, match="not active any more"):
            check_standing(owner, own, is_suspended=is_suspended)
    admin = Grantor(record.id, frozenset({"tokensvc:admin"}))
    with pytest.raises(ForbiddenError, match="does not hold tokensvc:admin any more"):
        check_standing(admin, active, is_suspended=False)
