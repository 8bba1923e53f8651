"""A plugin that counts the commands of ours that the tests start: each costs about a second."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

_counted = 0


def is_ours(command: Sequence[object]) -> bool:
    """Tell whether a command line runs `tokensvc`, by itself, by another program or by Python."""
    words = [str(word) for word in command]
    return any(word.endswith("/tokensvc") for word in words) or words[1:3] == ["-m", "tokensvc"]


def _count(event: str, arguments: tuple[Any, ...]) -> None:
    global _counted  # noqa: PLW0603 - an audit hook can neither be removed nor hold a fixture
    if event == "subprocess.Popen" and is_ours(arguments[1]):
        _counted += 1


sys.addaudithook(_count)


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
