"""The tables of docs/operations.md: they name every setting and every metric, and no others.

The notes below each table are numbered from 1, in the order in which the table refers to them.
"""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram

from tokensvc.issuer import metrics
from tokensvc.settings.names import FIELDS

PAGE = (Path(__file__).parent.parent.parent / "docs" / "operations.md").read_text()
ROWS = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]


def find_names(prefix):
    return {name for row in ROWS for name in re.findall(rf"`({prefix}\w+)(?:\{{[a-z,]+\}})?`", row)}


def test_every_setting_is_in_a_table():
    settings = {f"TOKENSVC_{name}".upper() for name in FIELDS}
    assert find_names("TOKENSVC_") == settings


def test_every_metric_is_in_the_table():
    named = set()
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            (family,) = metric.describe()
            named.add(f"{family.name}_total" if isinstance(metric, Counter) else family.name)
    assert find_names("tokensvc_") == named


TABLE_WITH_NOTES = re.compile(r"((?:^\|.*\n)+)\n((?:^(?:\d+\. |   ).*\n)+)", re.MULTILINE)


def test_the_notes_below_a_table_are_numbered_as_the_table_refers_to_them():
    for table, notes in TABLE_WITH_NOTES.findall(PAGE):
        told = re.findall(r"^(\d+)\. ", notes, re.MULTILINE)
        referred = [n for group in re.findall(r"\(([\d, ]+)[,)]", table) for n in group.split(", ")]
        assert list(dict.fromkeys(referred)) == told, table
        assert told == [str(number + 1) for number in range(len(told))], table
