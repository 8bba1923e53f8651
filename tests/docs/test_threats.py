"""Every promise on the page of threats and faults is proved by a test that carries its number."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "threats.md").read_text()
TARGETS = dict(re.findall(r"^\[([^\]]+)\]: \.\./(\S+)$", PAGE, re.MULTILINE))
PROMISES = re.findall(r"^\| ([TF]\d+) \| [^|]*[a-z]\S* [^|]*\.\s\| [^|]+ \|$", PAGE, re.MULTILINE)
PROOFS: dict[str, list[str]] = {}
for number, cells in re.findall(r"^\| ([TF]\d+) \| (\[[^|]+\]) \|$", PAGE, re.MULTILINE):
    PROOFS.setdefault(number, []).extend(cells[1:-1].split("], ["))


def find_numbers(path: Path) -> set[str]:
    """Return the numbers that the tests of a file carry in their names."""
    names = re.findall(r"def test_((?:[ft]\d+_)+)", path.read_text())
    return {number.upper() for name in names for number in name.strip("_").split("_")}


FOUND = {path: find_numbers(path) for path in (ROOT / "tests").rglob("test_*.py")}


def test_every_promise_has_its_proof_and_stands_there_once():
    assert len(PROMISES) > 80
    assert len(set(PROMISES)) == len(PROMISES)
    assert set(PROOFS) == set(PROMISES)


@pytest.mark.parametrize("number", PROOFS)
def test_what_is_named_as_proof_of_a_promise_carries_its_number(number):
    named = {ROOT / TARGETS[label] for label in PROOFS[number] if not label.startswith("bench/")}
    assert named, "a measurement alone is no proof"
    assert [str(path) for path in named if number not in FOUND[path]] == []


def test_every_number_of_a_test_stands_on_the_page():
    assert set().union(*FOUND.values()) == set(PROMISES)


def test_every_link_is_used_and_leads_to_a_file():
    assert {label for labels in PROOFS.values() for label in labels} == set(TARGETS)
    assert [path for path in TARGETS.values() if not (ROOT / path).is_file()] == []
