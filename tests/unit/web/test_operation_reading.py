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
