"""Runs programs in a process of their own, because they fork, exit or are interrupted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parent.parent.parent.parent


def run_program(text: str, *arguments: str) -> list[str]:
    """Run the program, and return the words that it printed. Every warning is an error."""
    # Later Pythons warn of fork() beside threads, and that is what some programs are about.
    options = ["-W", "error", "-W", "ignore::DeprecationWarning"]
    done = subprocess.run(
        [sys.executable, *options, "-c", text, *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stderr}"
    assert not done.stderr, done.stderr
    return done.stdout.split()
