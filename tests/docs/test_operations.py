"""The tables of docs/operations.md: they name every setting, and no others.

The notes below each table are numbered from 1, in the order in which the table refers to them.
"""

from __future__ import annotations

import re
from pathlib import Path

from tokensvc.settings.names import FIELDS

PAGE = (Path(__file__).parent.parent.parent / "docs" / "operations.md").read_text()
ROWS = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]


def test_every_setting_is_in_a_table():
    settings = {f"TOKENSVC_{name}".upper() for name in FIELDS}
    assert {name for row in ROWS for name in re.findall(r"`(TOKENSVC_\w+)`", row)} == settings


TABLE_WITH_NOTES = re.compile(r"((?:^\|.*\n)+)\n((?:^(?:\d+\. |   ).*\n)+)", re.MULTILINE)


def test_the_notes_below_a_table_are_numbered_as_the_table_refers_to_them():
    for table, notes in TABLE_WITH_NOTES.findall(PAGE):
        told = re.findall(r"^(\d+)\. ", notes, re.MULTILINE)
        referred = [n for group in re.findall(r"\(([\d, ]+)[,)]", table) for n in group.split(", ")]
        assert list(dict.fromkeys(referred)) == told, table
        assert told == [str(number + 1) for number in range(len(told))], table
