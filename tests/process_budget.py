"""A plugin that counts the commands of ours that the tests start: each costs about a second."""

from __future__ import annotations

import functools
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

_counted = 0


def is_ours(command: Sequence[object]) -> bool:
    """Tell whether a command line runs `tokensvc`, by itself, by another program or by Python."""
    words = [str(word) for word in command]
    return any(word.endswith("/tokensvc") for word in words) or words[1:3] == ["-m", "tokensvc"]


def pytest_configure(config: pytest.Config) -> None:
    """Count at the class that starts processes.

    An audit hook would be shorter. But CPython 3.11 runs audit hooks in the middle of
    `sys.settrace`, and a second thread that begins to be traced in that moment ends with an error.
    """
    start = subprocess.Popen.__init__

    @functools.wraps(start)
    def count_and_start(process: Any, command: Any, *arguments: Any, **options: Any) -> None:
        global _counted  # noqa: PLW0603 - the count of the whole run
        if isinstance(command, list | tuple) and is_ours(command):
            _counted += 1
        start(process, command, *arguments, **options)

    patch = pytest.MonkeyPatch()
    patch.setattr(subprocess.Popen, "__init__", count_and_start)
    config.add_cleanup(patch.undo)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--most-processes", type=int, help="fail if the tests start more commands of ours"
    )


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what a process of pytest-xdist has counted."""
    global _counted  # noqa: PLW0603
    _counted += getattr(node, "workeroutput", {}).get("processes", 0)


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    most = session.config.getoption("most_processes")
    if output is not None:
        output["processes"] = _counted
    elif most is not None and _counted > most:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    most = config.getoption("most_processes")
    allowed = "" if most is None else f" ({most} allowed)"
    terminalreporter.write_line(f"commands of ours that were started: {_counted}{allowed}")
