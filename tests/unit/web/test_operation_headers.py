"""Headers of operations."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from tokensvc.core.errors import InvalidInputError
from tokensvc.operations.table import OPERATIONS
from tokensvc.web.operations.headers import (
    build_etag,
    build_lifetime,
    matches_copy,
    parse_idempotency_key,
    parse_if_match,
)

SHOW, UPDATE = OPERATIONS["keys.show"], OPERATIONS["keys.update"]


@pytest.mark.parametrize(
    ("values", "versions"),
    [
        ([], None),
        (["*"], {"*"}),
        ([" * "], {"*"}),
        (['"a.b"'], {"a"}),
        (['"a.b", "c.d"', '"e"'], {"a", "c", "e"}),
        (['W/"a.b"'], {"W/a.b"}),
        (['""'], {""}),
        ([', "a" ,, "b",'], {"a", "b"}),
    ],
)
def test_if_match_names_versions(values, versions):
    assert parse_if_match(UPDATE, values) == versions


@pytest.mark.parametrize(
    "value", ["", ",", "a", '"a', '"a" "b"', "*,*", 'w/"a"', '"\x7f"', '"' + "a" * 2000 + '"']
)
def test_a_malformed_if_match_is_refused(value):
    with pytest.raises(InvalidInputError) as caught:
        parse_if_match(UPDATE, [value])
    assert caught.value.faults[0].pointer == "#/header/If-Match"


def test_a_copy_is_recognised_by_the_whole_etag():
    etag = build_etag("version", b"{}")
    assert matches_copy(etag, [f'"{etag}"'])
    assert matches_copy(etag, ['"x"', f'W/"{etag}"'])
    assert matches_copy(etag, ["*"])
    assert not matches_copy(etag, [])
    assert not matches_copy(etag, ['"version"'])
    assert not matches_copy(build_etag("version", b"{ }"), [f'"{etag}"'])


@pytest.mark.parametrize(("value", "name"), [("a", "a"), ('"a"', "a"), ('"', '"'), (" a ", "a")])
def test_a_request_is_named_with_or_without_quotation_marks(value, name):
    assert parse_idempotency_key([value]) == name


@pytest.mark.parametrize("values", [[""], ['""'], ["a b"], ["x" * 256], ["\u00e9"], ["a", "a"]])
def test_a_name_that_cannot_be_one_is_refused(values):
    with pytest.raises(InvalidInputError):
        parse_idempotency_key(values)


def test_an_operation_says_since_when_it_is_deprecated_and_when_it_ends():
    assert build_lifetime(SHOW) == {}
    ending = replace(SHOW, deprecated_on=date(2026, 12, 1), ends_on=date(2027, 12, 1))
    assert build_lifetime(ending) == {
        "Deprecation": "@1796083200",
        "Sunset": "Wed, 01 Dec 2027 00:00:00 GMT",
    }
