"""The links between our pages lead to files and headings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FOLDERS = [ROOT / "keys", ROOT / "examples"]
PAGES = [
    *ROOT.glob("*.md"),
    *(folder / "README.md" for folder in FOLDERS),
    *(ROOT / "docs").rglob("*.md"),
]
LINK = re.compile(r"(?:\]\(|^\[[^\]]+\]: )(?!https?:)([^)\s]+)", re.MULTILINE)


def find_anchors(page):
    """Return the anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page):
    for link in LINK.findall(page.read_text()):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in find_anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_installs_the_package_from_an_index_where_it_is_not(page):
    assert re.findall(r"pip install .?tokensvc.*", page.read_text()) == []
