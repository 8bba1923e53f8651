"""Path, query and body become one request."""

from __future__ import annotations

import pytest

from tokensvc.core.errors import Fault, InvalidInputError
from tokensvc.operations.table import OPERATIONS
from tokensvc.operations.validation import MOST_FAULTS
from tokensvc.web.operations.reading import build_request, place_fault

KEY_ID, ACCOUNT_ID = "key_0000000000000000", "acct_0000000000000000"


def read(name, *, path=(), query=(), body=()):
    return build_request(OPERATIONS[name], path=dict(path), query=query, body=dict(body))


def test_a_query_is_read_with_members_of_objects():
    request = read(
        "keys.list",
        query=[("limit", "7"), ("metadata.team", "x"), ("metadata.a.b", "y"), ("name", "z")],
    )
    assert request.model_dump(exclude_unset=True) == {
        "limit": 7,
        "metadata": {"team": "x", "a.b": "y"},
        "name": "z",
    }


def test_path_and_body_are_one_request_that_knows_what_was_named():
    request = read("keys.update", path={"id": KEY_ID}, body={"name": "x", "tier": None})
    assert request.model_fields_set == {"id", "name", "tier"}


def test_as_many_faults_are_told_as_help():
    with pytest.raises(InvalidInputError) as caught:
        read("accounts.create", body={f"x{number}": 1 for number in range(100)})
    assert len(caught.value.faults) == MOST_FAULTS


@pytest.mark.parametrize(
    ("name", "pointer", "placed"),
    [
        ("keys.show", "/id", "#/path/id"),
        ("keys.list", "/cursor", "#/query/cursor"),
        ("keys.list", "/metadata/team", "#/query/metadata.team"),
        ("keys.create", "/capabilities/0", "#/capabilities/0"),
        ("keys.create", "", "#"),
        ("keys.update", "/name", "#/name"),
        ("keys.update", "/id", "#/path/id"),
        ("keys.update", "#/header/If-Match", "#/header/If-Match"),
    ],
)
def test_a_fault_points_at_where_the_field_stood(name, pointer, placed):
    assert place_fault(OPERATIONS[name], Fault(pointer, "x")) == Fault(placed, "x")


@pytest.mark.parametrize(
    ("name", "given", "detail"),
    [
        ("accounts.create", {}, "it is required"),
        ("accounts.create", {"name": 7}, "it must be a text"),
        ("accounts.create", {"name": ""}, "it must have at least 1 character(s)"),
        ("accounts.create", {"name": "a" * 201}, "it has more than 200 characters"),
        ("accounts.create", {"name": "a", "per_minute": "7"}, "it must be a whole number"),
        ("accounts.create", {"name": "a", "per_minute": 1.5}, "it must be a whole number"),
        ("accounts.create", {"name": "a", "per_minute": 0}, "it must be at least 1"),
        (
            "audiences.create",
            {"name": "a", "alg": "none"},
            "it must be 'ES256', 'EdDSA' or 'RS256'",
        ),
        ("keys.batch", {"act": "enable", "items": []}, "it must have at least 1 member(s)"),
        ("keys.batch", {"act": "enable", "items": 7}, "it must be a list"),
        ("keys.batch", {"act": "enable", "items": [7]}, "it must be an object"),
        ("signing-keys.rotate", {"now": "yes"}, "it must be true or false"),
        (
            "revocations.create",
            {},
            "name exactly one of token, jti, key and account",
        ),
    ],
)
def test_a_fault_is_told_in_plain_words(name, given, detail):
    with pytest.raises(InvalidInputError) as refused:
        build_request(OPERATIONS[name], path={}, query=[], body=given)
    assert [fault.detail for fault in refused.value.faults] == [detail]
    assert not refused.value.message.startswith(":")


@pytest.mark.parametrize(
    ("name", "path", "query", "detail"),
    [
        ("keys.list", {}, [("limit", "x")], "it must be a whole number"),
        ("keys.list", {}, [("limit", "1001")], "it must be at most 1000"),
        ("signing-keys.show", {"kid": "x"}, [], "the id of a signing key is 43 letters, digits"),
        ("revocations.watch", {}, [("after", "x")], "it must be a cursor of an earlier answer"),
    ],
)
def test_a_fault_of_a_path_or_query_is_told_in_plain_words(name, path, query, detail):
    with pytest.raises(InvalidInputError) as refused:
        build_request(OPERATIONS[name], path=path, query=query, body={})
    (fault,) = refused.value.faults
    assert fault.detail.startswith(detail)
