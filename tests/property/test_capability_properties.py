from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tokensvc.core.capability import narrow_scope, parse_scope
from tokensvc.core.errors import InvalidScopeError

names = st.from_regex(r"(tokensvc:)?[a-z*][a-z:*]{0,3}", fullmatch=True)
some_names = st.frozensets(names, max_size=6)


@given(st.none() | some_names, some_names)
def test_narrowing_never_widens(asked, granted):
    given_unasked = {name for name in granted if not name.startswith("tokensvc:")}
    try:
        narrowed = narrow_scope(asked, granted)
    except InvalidScopeError:
        assert not given_unasked if asked is None else asked - granted
    else:
        assert set(narrowed) <= granted
        assert set(narrowed) == (given_unasked if asked is None else asked)
        assert list(narrowed) == sorted(narrowed)


@given(some_names.filter(bool))
def test_a_scope_is_names_with_spaces_between_them(wanted):
    assert parse_scope(" ".join(wanted)) == wanted
