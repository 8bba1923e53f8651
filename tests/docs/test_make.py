"""`make` on a machine that lacks something: one line that says what, and no half-made folder."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MADE = """#!/bin/sh
if [ "$2" = venv ]; then mkdir -p "$3/bin" && echo new > "$3/bin/python"; fi
"""


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("No module named pip", "has no pip. On Debian: apt install python3-venv"),
        ("no such option: --require-hashes", "is too old: use a newer Python"),
        ("WARNING: Retrying\n[Errno -3] Temporary failure in name resolution", "no package index"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "other files than those"),
        ("ERROR: No matching distribution found for x==1", "no ready packages for this machine"),
        ("OSError: [Errno 28] No space left on device", "No space left on device"),
        ("something\nelse", "cannot be installed: else"),
    ],
)
def test_an_installation_that_fails_says_why_in_one_line(tmp_path, told, said):
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{told}\nEND\nexit 1\n")
    python.chmod(0o755)
    tried = subprocess.run(
        [ROOT / "requirements" / "install", python, "x"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert tried.returncode == 1
    assert tried.stdout == ""
    (line,) = tried.stderr.splitlines()
    assert said in line
    assert told.splitlines()[-1] in (tmp_path / "pip.log").read_text()


def make(folder, *arguments):
    shutil.copy(ROOT / "Makefile", folder)
    return subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_folder_that_was_left_half_made_is_made_anew(tmp_path):
    python = tmp_path / "python"
    python.write_text(MADE)
    python.chmod(0o755)
    inside = tmp_path / ".venv" / "bin" / "python"
    inside.parent.mkdir(parents=True)
    inside.write_text("half-made")
    assert make(tmp_path, ".venv/.made", f"PYTHON={python}").returncode == 0
    assert inside.read_text() == "new\n"
    inside.write_text("whole")
    assert make(tmp_path, ".venv/.made", f"PYTHON={python}").returncode == 0
    assert inside.read_text() == "whole"


def test_a_python_that_cannot_make_a_virtual_environment_says_what_to_install(tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$2" != venv ]\n')
    python.chmod(0o755)
    refused = make(tmp_path, ".venv/.made", f"PYTHON={python}")
    assert "on Debian: apt install python3-venv" in refused.stdout
    assert not (tmp_path / ".venv").exists()
