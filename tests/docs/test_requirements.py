"""What is installed: exact versions with their hashes, from no address that somebody wrote down."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FILES = sorted((ROOT / "requirements").glob("*.txt"))
HASHES = r"(?: \\\n    --hash=sha256:[0-9a-f]{64})+"
PINNED = re.compile(rf"[a-z0-9-]+==\S+(?: ; [^\\\n]+)?{HASHES}\n(?:    # [^\n]*\n)*")
FLOORS = {"pyjwt": (2, 15), "aiohttp": (3, 14, 3)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_t37_every_package_is_pinned_with_its_hashes(path):
    rest = PINNED.sub("", path.read_text())
    assert re.sub(r"#.*\n|\s", "", rest) == "", "nothing else stands there"


def test_t37_pip_checks_the_hashes():
    installing = [line for line in (ROOT / "Makefile").read_text().splitlines() if " -r " in line]
    assert installing
    assert all("--require-hashes" in line for line in installing)


@pytest.mark.parametrize(("name", "floor"), FLOORS.items())
def test_t37_no_version_with_a_known_weakness_is_pinned(name, floor):
    (version,) = re.findall(
        rf"^{name}==([0-9.]+)", (ROOT / "requirements/run.txt").read_text(), re.MULTILINE
    )
    assert tuple(int(part) for part in version.split(".")) >= floor
