"""What holds for the whole tree: how wide and how long things are, and which rooms see each other.

The lengths hold for the product itself.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
WIDEST = 100
LONGEST = {"function": 40, "class": 150, "file": 300}
WRITTEN_BY_HAND = (
    "*.md", "*.sql", "*.py", "Makefile", "*.toml", "*.yaml", "*.yml", "*.css", "*.html", "*.js",
    "*.mjs",
    ":!*/vendor/*",
)  # fmt: skip
# Whose modules the modules of a room must not import. What tests and bench both need is in testbed.
HIDDEN_FROM = {
    "src": {"bench", "demo", "testbed", "tests"},
    "testbed": {"bench", "demo", "tests"},
    "tests": {"bench"},
    "bench": {"demo", "tests"},
    "demo": {"bench", "testbed", "tests"},
}


def list_files(*patterns: str) -> list[str]:
    """Return the files that git knows, or none outside of a checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = [name for name in listed.stdout.split("\0") if (ROOT / name).is_file()]
    assert found or not (ROOT / ".git").exists(), f"no file is like {patterns}"
    return found


def find_wide_lines(text: str) -> list[int]:
    """Return the numbers of the lines that are too wide. An address cannot be broken."""
    return [
        number
        for number, line in enumerate(text.splitlines(), start=1)
        if len(line) > WIDEST and not any(len(word) > WIDEST - 20 for word in line.split())
    ]


def test_no_line_is_wider_than_100_columns():
    wide = [
        f"{name}:{number}"
        for name in list_files(*WRITTEN_BY_HAND)
        for number in find_wide_lines((ROOT / name).read_text())
    ]
    assert not wide, "\n".join([f"wider than {WIDEST} columns, so break them:", *wide])


@pytest.mark.parametrize(
    ("text", "found"),
    [("x " * 50, []), ("x " * 51, [1]), ("ok\n" + "word " * 21, [2]), ("- <" + "x" * 99 + ">", [])],
)
def test_a_wide_line_is_found(text, found):
    assert find_wide_lines(text) == found


def measure(source: str) -> list[tuple[str, str, int, int]]:
    """Return kind, name, first line and number of lines of a file and of all that it defines."""
    found = [("file", "", 1, len(source.splitlines()))]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            kind = "class" if isinstance(node, ast.ClassDef) else "function"
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            found.append((kind, node.name, node.lineno, length))
    return found


def test_no_function_class_or_file_of_the_product_is_too_long():
    long = [
        f"{path.relative_to(ROOT)}:{line} {kind} {name} has {length} lines"
        for path in sorted((ROOT / "src").rglob("*.py"))
        for kind, name, line, length in measure(path.read_text())
        if length > LONGEST[kind]
    ]
    assert not long, "\n".join([f"longer than {LONGEST}, so cut them by subject:", *long])


def test_a_length_is_that_of_the_whole_definition():
    source = "class A:\n    async def f(\n        self,\n    ):\n        pass\n\n\nx = 1\n"
    assert measure(source) == [
        ("file", "", 1, 8),
        ("class", "A", 1, 5),
        ("function", "f", 2, 4),
    ]


def test_every_file_that_the_page_on_architecture_names_exists():
    page = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`([\w/]+\.(?:py|sql|toml))`", page))
    there = list_files("*.py", "*.sql", "*.toml")
    gone = [
        name for name in sorted(named) if not any(f"/{one}".endswith(f"/{name}") for one in there)
    ]
    assert len(named) > 50
    assert not gone


def list_imports(source: str) -> set[str]:
    """Return the first names of all modules that a program imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize("room", HIDDEN_FROM)
def test_a_room_imports_nothing_that_is_hidden_from_it(room):
    wrong = {
        str(path.relative_to(ROOT)): sorted(hidden)
        for path in (ROOT / room).rglob("*.py")
        if (hidden := list_imports(path.read_text()) & HIDDEN_FROM[room])
    }
    assert wrong == {}


def test_an_import_is_found_wherever_it_stands():
    source = "import tests.x\n\ndef f():\n    from bench.y import z\n"
    assert list_imports(source) == {"tests", "bench"}


@pytest.mark.parametrize("folder", ["tests/soak/node", "bench/peers/node_oidc", "examples/node"])
def test_the_lock_file_for_node_pins_exactly_and_names_no_address(folder):
    folder = ROOT / folder
    package = (folder / "package.json").read_text()
    lock = (folder / "package-lock.json").read_text()
    locked = json.loads(lock)["packages"]
    for name, version in json.loads(package)["dependencies"].items():
        assert locked[f"node_modules/{name}"]["version"] == version
    assert all(entry["integrity"].startswith("sha512-") for path, entry in locked.items() if path)
    assert "://" not in package + lock
