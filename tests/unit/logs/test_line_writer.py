"""Log lines are written soon, in order, and never wait for whoever reads them."""

from __future__ import annotations

import io
import json
import os
import threading

from testbed.waiting import PATIENCE, wait_until

from tokensvc.logs.line_writer import LineWriter


class Stuck(io.StringIO):
    """A reader that has stopped reading, until `free` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()
        self.writing = threading.Event()

    def write(self, text: str) -> int:
        self.writing.set()
        self.free.wait(PATIENCE)
        return super().write(text)


def wait_for(stream: io.StringIO, text: str) -> None:
    wait_until(lambda: stream.getvalue() == text)


def test_lines_are_written_in_order_without_being_asked_for():
    stream = io.StringIO()
    writer = LineWriter(stream)
    writer.write("one")
    writer.write("two")
    wait_for(stream, "one\ntwo\n")
    writer.write("three")
    wait_for(stream, "one\ntwo\nthree\n")


def test_a_reader_that_is_stuck_holds_nobody_up_and_is_told_what_it_missed():
    stream = Stuck()
    writer = LineWriter(stream, most_waiting=3)
    writer.write("first")
    assert stream.writing.wait(PATIENCE)
    for number in range(10):
        writer.write(f"{number}")
    writer.flush(0.01)
    assert not stream.free.is_set(), "nobody has waited for the reader"
    stream.free.set()
    writer.flush()
    lines = stream.getvalue().splitlines()
    assert lines[:4] == ["first", "0", "1", "2"]
    assert json.loads(lines[4]) == {"level": "error", "event": "log_lines_dropped", "lines": 7}


def test_a_reader_that_has_gone_does_no_harm():
    stream = io.StringIO()
    writer = LineWriter(stream)
    stream.close()
    writer.write("nobody reads this")
    writer.close()


def test_a_child_begins_with_nothing_of_its_parent():
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        writer = LineWriter(stream)
        writer.begin()
        writer._lines.append("of the parent")
        writer._wake.set()
        child = os.fork()
        if child == 0:
            writer.write("of the child")
            writer.flush()
            os._exit(0)
        os.waitpid(child, 0)
        writer.begin()
    with os.fdopen(reading) as output:
        assert output.read() == "of the child\n"
