"""Strict JSON."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokensvc.core.errors import InvalidInputError
from tokensvc.core.strict_json import MOST_DEEP, build_pointer, parse_json

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@given(VALUES)
def test_what_is_good_is_read_as_everybody_reads_it(value):
    text = json.dumps(value, ensure_ascii=False)
    assert parse_json(text.encode()) == json.loads(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body):
    with contextlib.suppress(InvalidInputError):
        parse_json(body)


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ('{"a": 1, "a": 1}', "/a"),
        ('[{"b": [{"a": 1, "c": 2, "a": 3}]}]', "/0/b/0/a"),
        ('{"a": {"b": "\\u0000"}}', "/a/b"),
        ('{"a": {"\\udfff": 1}}', "/a/?"),
        ('["\\ud83d", "\\ud83d\\ude00"]', "/0"),
        ("Infinity", ""),
        ("[-Infinity]", ""),
        ("[NaN]", ""),
        ("[1e400]", ""),
        ("[1] [2]", ""),
        ("\ufeff{}", ""),
        ("", ""),
    ],
)
def test_what_readers_would_understand_differently_is_refused_with_a_pointer(text, pointer):
    with pytest.raises(InvalidInputError) as caught:
        parse_json(text.encode())
    assert [fault.pointer for fault in caught.value.faults] == [pointer]


def test_depth_is_bounded():
    for deep in (MOST_DEEP, MOST_DEEP + 1, 1000, 4000):
        text = ("[" * deep + "]" * deep).encode()
        if deep <= MOST_DEEP:
            parse_json(text)
        else:
            with pytest.raises(InvalidInputError, match="nested"):
                parse_json(text)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("[" + "0," * 300_000 + "0]", "values"),
        ("[" * 4000 + "]" * 4000 + '{"a":' * 2000 + "1" + "}" * 2000, "lists and objects"),
        ("{" + ",".join(f'"{n}":0' for n in range(1001)) + "}", "at most 1000 names"),
    ],
    ids=["values", "lists and objects", "names"],
)
def test_t53_what_would_take_long_to_look_through_is_refused(text, detail):
    with pytest.raises(InvalidInputError, match=detail):
        parse_json(text.encode())


def test_a_large_batch_is_no_reason_to_refuse():
    changes = '{"per_minute":5,"per_day":5,"audiences":[],"networks":[],"tier":null,"metadata":{}}'
    items = ",".join([f'{{"id":"key_0000000000000000","changes":{changes}}}'] * 1000)
    assert len(parse_json(f'{{"act":"update","items":[{items}]}}'.encode())["items"]) == 1000
    names = ",".join(f'"orders:read-{number}"' for number in range(500))
    assert len(parse_json(f"[{names}]".encode())) == 500


def test_a_pointer_is_that_of_the_rfc():
    assert build_pointer("a/b", "m~n", 0, "") == "/a~1b/m~0n/0/"
    assert build_pointer() == ""
    assert len(build_pointer("x" * 1000)) < 110
