"""The Python of docs/relying-parties.md: it compiles, what it imports is there, and the options that it names exist."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

from tokensvc.verify import Verifier
from tokensvc.verify.testing import FakeIssuer

PAGE = (Path(__file__).parent.parent.parent / "docs" / "relying-parties.md").read_text()
BLOCKS = [ast.parse(block) for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
OPTIONS = set(inspect.signature(Verifier.__init__).parameters) - {"self", "fetcher", "clock", "issuer", "audience"}


def nodes(kind):
    return [node for block in BLOCKS for node in ast.walk(block) if isinstance(node, kind)]


def test_there_are_examples():
    assert len(BLOCKS) >= 8


@pytest.mark.parametrize("node", [node for node in nodes(ast.ImportFrom) if node.module != "flask"], ids=ast.unparse)
def test_what_an_example_imports_is_there(node):
    module = importlib.import_module(node.module)
    assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_an_example_names_options_that_exist():
    made = [node for node in nodes(ast.Call) if ast.unparse(node.func) in {"Verifier", "ThreadedVerifier"}]
    named = {keyword.arg for node in made for keyword in node.keywords}
    assert named <= OPTIONS | {"issuer", "audience"}


def test_every_option_stands_in_the_table():
    first_cells = re.findall(r"^\| (`.*?) \| ", PAGE, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(first_cells))) >= OPTIONS


def test_every_method_of_the_testing_kit_that_is_named_is_there():
    paragraph = PAGE[PAGE.index("`FakeIssuer(") : PAGE.index("## Any other JWT library")]
    named = re.findall(r"`(?:issuer\.)?(\w+)(?:\(|`)", paragraph)
    assert {"token", "rotate", "revoke", "go_stale", "verifier"} <= set(named)
    assert [name for name in named if name != "FakeIssuer" and not hasattr(FakeIssuer, name)] == []
