from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tokensvc.cli.cell import build_cell, build_text, describe_distance
from tokensvc.cli.output import wrap
from tokensvc.cli.table import Table, choose_columns, measure

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)


def draw(table, rows):
    return [line for line, _ in table.draw(rows)]


def test_what_does_not_fit_is_left_out_and_nothing_is_cut():
    rows = [{"id": "key_1", "name": "ci", "state": "active", "detail": "x" * 60, "hint": "abcd"}]
    narrow, wide = Table([*rows[0]], 40), Table([*rows[0]], None)
    assert draw(narrow, rows) == ["id     name  state   hint", "key_1  ci    active  abcd"]
    assert narrow.left_out == ["detail"]
    assert draw(wide, rows)[1].endswith(f"active  {'x' * 60}  abcd")
    assert wide.left_out == []


def test_the_first_three_columns_are_shown_even_where_they_do_not_fit():
    widths = {"id": 20, "name": 200, "state": 8, "account": 20}
    assert choose_columns(widths, 80) == ["id", "name", "state"]
    assert choose_columns(widths, None) == [*widths]


def test_a_later_page_that_needs_more_room_gets_a_heading_of_its_own():
    table = Table(["id", "name", "state", "hint"], 24)
    first, later = ("a", "b", "c", "d"), ("a", "b" * 10, "c", "d")
    pages = [
        [dict(zip(("id", "name", "state", "hint"), row, strict=True))] for row in (first, later)
    ]
    assert draw(table, pages[0])[0] == "id  name  state  hint"
    assert draw(table, pages[0]) == ["a   b     c      d"]
    assert draw(table, pages[1])[0] == "id  name        state"


def test_a_sentence_goes_on_in_further_lines_and_a_long_word_is_not_cut():
    row = {"id": "key_1", "state": "active", "code": "no", "why": "this is refused, because"}
    table = Table([*row], 41, sentences="why")
    assert draw(table, [row, {**row, "why": ""}, {**row, "why": "x" * 30}]) == [
        "id     state   code  why",
        "key_1  active  no    this is refused,",
        "                     because",
        "key_1  active  no",
        f"key_1  active  no    {'x' * 30}",
    ]
    assert table.left_out == []
    assert draw(Table([*row], None, sentences="why"), [row])[1].endswith("refused, because")


def test_a_sentence_is_left_out_where_it_would_be_a_word_a_line():
    row = {"id": "key_1", "state": "active", "code": "no", "why": "this is refused, because"}
    table = Table([*row], 30, sentences="why")
    assert draw(table, [row]) == ["id     state   code", "key_1  active  no"]
    assert table.left_out == ["why"]


KID = "9GCpisIbl7gytaAFrl3gll06HwXoiw-A1d_CtNRMKQY"


def test_a_kid_leaves_no_column_out_and_is_shortened_only_as_far_as_needed():
    row = {"number": "15", "operation": "signing-keys.revoke", "at": "0 s ago", "subject": KID}
    narrow, roomy, wide = (Table([*row], room) for room in (60, 90, None))
    assert draw(narrow, [row, {**row, "subject": "key_8aBnRqwMy2Q2fyG1"}]) == [
        "number  operation            at       subject",
        "15      signing-keys.revoke  0 s ago  9GCpisIbl7gytaAFrl3gl\N{HORIZONTAL ELLIPSIS}",
        "15      signing-keys.revoke  0 s ago  key_8aBnRqwMy2Q2fyG1",
    ]
    assert (narrow.left_out, narrow.shortened) == ([], ["subject"])
    assert (
        draw(roomy, [row])[1]
        == draw(wide, [row])[1]
        == "15      signing-keys.revoke  0 s ago  " + KID
    )
    assert roomy.shortened == wide.shortened == []


def test_a_kid_in_the_first_column_makes_room_for_the_others():
    row = {"kid": KID, "alg": "ES256", "phase": "active", "safe_to_activate_at": "in 15 min"}
    assert draw(Table([*row], 48), [row])[1] == (
        "9GCpisIbl7g\N{HORIZONTAL ELLIPSIS}  ES256  active  in 15 min"
    )


def test_a_long_word_is_shortened_behind_the_first_three_columns_alone():
    url = "https://orders.example.com/a/path"
    row = {"id": "a", "name": url, "state": "x", "subject": url, "detail": f"two {url}"}
    table = Table([*row], 68)
    assert draw(table, [row])[1] == (
        f"a   {url}  x      https://orders.exampl\N{HORIZONTAL ELLIPSIS}"
    )
    assert (table.left_out, table.shortened) == (["detail"], ["subject"])


@pytest.mark.parametrize(
    ("text", "cells"), [("abc", 3), ("\u65e5\u672c", 4), ("e\u0301", 1), ("", 0)]
)
def test_a_text_is_as_wide_as_a_terminal_shows_it(text, cells):
    assert measure(text) == cells


@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (timedelta(), "0 s ago"),
        (timedelta(seconds=-119), "119 s ago"),
        (timedelta(minutes=-119), "119 min ago"),
        (timedelta(hours=-3), "3 h ago"),
        (timedelta(days=89, hours=23), "in 89 d"),
        (timedelta(seconds=5), "in 5 s"),
    ],
)
def test_a_moment_is_told_by_how_far_away_it_is(distance, text):
    assert describe_distance(NOW + distance, NOW) == text


def test_a_cell_is_one_line_and_its_moments_have_a_zone():
    assert build_cell("created_at", "2026-07-01T10:00:00.123456Z") == "2026-07-01 10:00:00Z"
    assert build_cell("created_at", "2026-07-01T10:00:00Z", NOW) == "2 h ago"
    assert build_cell("name", "2026-07-01T10:00:00Z", NOW) == "2026-07-01T10:00:00Z"
    assert build_cell("name", "a\tb\n\x1b[1m") == "a\\tb\\n\\x1b[1m"
    assert build_cell("events", ["a", "b"]) == "a b"
    assert build_cell("tier", None) == "-"


def test_a_moment_in_seconds_is_one_for_people_and_a_number_for_programs():
    assert build_cell("exp", 1795473795) == "2026-11-23 22:43:15Z"
    assert build_cell("expires", 1782907320, NOW) == "in 2 min"
    assert build_cell("upto", None) == "-"
    assert build_cell("exp", 10**15) == str(10**15)
    assert build_text("exp", 1795473795) == "1795473795"


def test_every_field_that_names_a_moment_shows_it_alike():
    for name in ("created_at", "at", "failing_since", "fresh_until"):
        assert build_cell(name, "2026-11-26T23:59:51.967101Z") == "2026-11-26 23:59:51Z"


def test_a_line_that_is_too_long_goes_on_below_its_value_and_no_word_is_broken():
    long = "operations  keys.list keys.show " + "x" * 30
    assert wrap(long, 24, indent=12).splitlines() == [
        "operations  keys.list",
        f"{' ' * 12}keys.show",
        f"{' ' * 12}{'x' * 30}",
    ]
    assert wrap("id  key_1", 24, indent=4) == "id  key_1"
