"""A long object is read in steps, and is what `json.loads` says that it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokensvc.core.json_steps import parse_object_in_steps
from tokensvc.core.steps import run_steps

PER_STEP = 256
SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text('a},{"\\ü', max_size=6)
SMALL = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=2),
    st.dictionaries(st.text("ab", max_size=1), SCALARS, max_size=2),
)
MEMBERS = SMALL | st.lists(SMALL, max_size=40) | st.lists(st.fixed_dictionaries({"a": SCALARS}))
OBJECTS = st.dictionaries(st.text('ab},{"', max_size=4), MEMBERS, max_size=4)
STYLES = st.sampled_from([{"separators": (",", ":")}, {}, {"indent": 1}, {"ensure_ascii": False}])


def read(text, per_step=PER_STEP):
    return run_steps(parse_object_in_steps(text, per_step=per_step))


@given(OBJECTS, STYLES)
def test_an_object_is_read_as_in_one_go(value, style):
    assert read(json.dumps(value, **style)) == value


@given(OBJECTS, st.integers(0, 400), st.sampled_from([*'{}[]",:0 x', ""]))
def test_a_text_that_was_changed_is_read_or_refused_as_in_one_go(value, place, other):
    text = json.dumps(value, separators=(",", ":"))
    at = place % len(text)
    changed = text[:at] + other + text[at + 1 :]
    try:
        expected = json.loads(changed)
    except ValueError:
        expected = None
    if isinstance(expected, dict):
        assert read(changed, per_step=4096) == expected
    else:
        with pytest.raises(ValueError):  # noqa: PT011 - as json.loads
            read(changed)


def test_no_step_reads_more_than_its_part():
    text = json.dumps({"a": 1, "entries": [{"jti": "x" * 20}] * 100, "numbers": [7] * 5000})
    taken = sum(1 for _ in parse_object_in_steps(text, per_step=256))
    assert taken > 100 * 30 / 256, "a step for each part of the objects, at least"


@pytest.mark.parametrize("value", ["x" * PER_STEP, [["x" * PER_STEP]], 10 ** (2 * PER_STEP)])
def test_a_value_that_is_too_long_for_a_step_is_refused(value):
    with pytest.raises(ValueError, match="too long"):
        read(json.dumps({"a": value}))


@pytest.mark.parametrize(
    "text", ['{"a": [1]} x', '{"a" [1]}', "{a: 1}", '{"a": 1', '{"a": [1}', ""]
)
def test_what_is_no_object_or_more_than_one_is_refused(text):
    with pytest.raises(ValueError, match=r"\w"):
        read(text)
