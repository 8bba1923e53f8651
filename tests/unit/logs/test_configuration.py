"""Every line is JSON that begins alike, and is bounded."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from tokensvc.logs.logger import configure_logs_on_use, get_logger
from tokensvc.logs.output import flush_logs


def test_a_log_line_begins_with_what_eyes_look_for_and_is_bounded(logs):
    structlog.get_logger("test").info("happened", zeal=1, text="x" * 100_000)
    (line,) = logs.lines
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert len(line["text"]) <= 8192
    structlog.get_logger("test").debug("quiet")
    assert logs.find("quiet")


def test_a_line_of_a_library_looks_like_one_of_ours(logs):
    logging.getLogger("library").warning("said %s", "this")
    (line,) = logs.lines
    assert (line["level"], line["event"], line["logger"]) == ("warning", "said this", "library")


@pytest.fixture
def root():
    """The root logger, which is put back."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("who", ["ours", "library"])
def test_the_first_line_configures_the_logs_of_a_command(who, root, capsys):
    configure_logs_on_use("warning")
    (waiting,) = root.handlers
    logging.getLogger("library").info("too quiet")
    assert root.handlers == [waiting]
    if who == "ours":
        get_logger("ours").warning("said", key="tsk-" + "a" * 32)
    else:
        logging.getLogger("library").warning("said")
    get_logger("ours").error("again")
    flush_logs()
    assert waiting not in root.handlers
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["said", "again"]
    assert "aaaa" not in str(lines)


def test_every_level_has_its_method(logs):
    logger = get_logger("test")
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(logger, level)("happened", fact=1)
    try:
        int("why")
    except ValueError:
        logger.exception("failed")
    levels = [line["level"] for line in logs.find("happened")]
    assert levels == ["debug", "info", "warning", "error", "critical"]
    assert "ValueError: invalid" in logs.find("failed")[0]["exception"]
