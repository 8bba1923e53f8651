"""Every line is JSON that begins alike, and is bounded."""

from __future__ import annotations

import logging

import structlog


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
