"""Commands are a face of the table of operations, and need little of the rest."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tokensvc.cli
from tokensvc.operations.table import OPERATIONS

FAR = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"aiohttp", "asyncpg", "gunicorn", "structlog", "jwt"}:
            raise ModuleNotFoundError(name, name=name)
        return None

sys.meta_path.insert(0, Absent())
from tokensvc.cli import main
try:
    main()
finally:
    found = [n for n in sys.modules if n.startswith(("tokensvc.issuer", "tokensvc.store",
        "tokensvc.settings", "tokensvc.web", "tokensvc.client", "cryptography"))]
    print(found, file=sys.stderr)
"""


CALLS = {"call", "call_pages", "call_whole", "change_state", "list_all"}


def list_called():
    """Return the names of the operations that the modules of the command line call."""
    called = set()
    for path in Path(tokensvc.cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            if node.func.id in CALLS and isinstance(node.args[0], ast.Constant):
                called.add(node.args[0].value)
    return called


def test_every_operation_has_a_command_and_no_command_calls_anything_else():
    assert sorted(list_called()) == sorted(OPERATIONS)


@pytest.mark.parametrize(
    "line",
    [
        "key list",
        "account list",
        "audit list",
        "whoami",
        "denylist list",
        "key show key_0000000000000000",
        "doctor",
    ],
)
def test_a_command_for_a_service_far_away_needs_only_the_extra_cli(line, unused_tcp_port):
    url = f"http://127.0.0.1:{unused_tcp_port}"
    done = subprocess.run(
        [sys.executable, "-c", FAR, "--url", url, *line.split()],
        env={"TOKENSVC_API_KEY": "tsk-0"},
        capture_output=True,
        text=True,
        check=False,
    )
    # The doctor has found that nobody answers; for all others it is a reason to end.
    assert done.returncode == (5 if line == "doctor" else 6), done.stderr
    assert done.stderr.splitlines()[-1] == "[]"


def test_what_the_extra_cli_cannot_do_says_which_extra_can():
    done = subprocess.run(
        [sys.executable, "-c", FAR, "--host", "key", "list"],
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install 'tokensvc[server]', or name a service with --url" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_lists_keys_on_the_host_imports_nothing_that_it_does_not_need():
    """A command should answer quickly, and most of its time is for imports."""
    code = (
        "import sys, tokensvc.cli.root, tokensvc.cli.key, tokensvc.cli.host\n"
        "from tokensvc.issuer.operations.bindings import load_function\n"
        "load_function('keys.list'); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "tokensvc.store.key_pages" in loaded
    slow = {"structlog", "aiohttp", "cryptography", "jwt", "prometheus_client"}
    slow |= {"tokensvc.operations.key_models", "tokensvc.core.exchange"}
    assert not loaded & (slow | {"tokensvc.issuer.admin"})
