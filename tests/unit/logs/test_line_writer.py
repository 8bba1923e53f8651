"""Log lines are written soon, in order, and never wait for whoever reads them."""

from __future__ import annotations

import errno
import io
import json
import os
import threading
from pathlib import Path
from typing import IO

from testbed.waiting import PATIENCE, wait_until

from tokensvc.logs.line_writer import LineWriter

LONG = 3600.0  # seconds: nothing is written but by `flush`


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


def test_f38_a_reader_that_is_stuck_holds_nobody_up_and_is_told_what_it_missed():
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


class Disk(io.StringIO):
    """A file on a disk that is full at first; `place` is where its lines go."""

    def __init__(self, full: IO[bytes]) -> None:
        super().__init__()
        self.place = full

    def fileno(self) -> int:
        return self.place.fileno()


def test_f24_lines_that_a_full_disk_does_not_take_are_counted_and_told_when_there_is_room(tmp_path):
    lost: list[int] = []
    with (tmp_path / "log").open("w+b") as file, Path("/dev/full").open("wb", 0) as full:
        disk = Disk(full)
        writer = LineWriter(disk, pause=LONG, count_lost=lost.append)
        for number in range(3):
            writer.write(f"lost {number}")
        writer.flush()
        writer.write("lost 3")
        writer.flush()
        assert sum(lost) == 4
        disk.place = file
        writer.write("kept")
        writer.flush()
        writer.flush()
        first, second = (tmp_path / "log").read_text().splitlines()
    assert first == "kept"
    assert json.loads(second) == {"level": "error", "event": "log_lines_dropped", "lines": 4}


def test_a_line_that_was_written_in_part_is_finished_before_others(tmp_path):
    room = [10]
    lost: list[int] = []

    def write_a_little(descriptor, data):
        if not room[0]:
            raise OSError(errno.ENOSPC, "no space left on device")
        written = os.write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    with (tmp_path / "log").open("w+") as file:
        writer = LineWriter(file, pause=LONG, write_some=write_a_little, count_lost=lost.append)
        for line in ("first", "second", "third"):
            writer.write(line)
        writer.flush()
        assert (tmp_path / "log").read_text() == "first\nseco"
        assert sum(lost) == 1
        room[0] = 1000
        writer.write("fourth")
        writer.flush()
        first, second, fourth, told = (tmp_path / "log").read_text().splitlines()
    assert (first, second, fourth) == ("first", "second", "fourth")
    assert json.loads(told)["lines"] == 1


def test_a_pipe_that_does_not_block_takes_everything():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    received = []

    def read():
        with os.fdopen(reading, "rb") as output:
            received.append(output.read())

    reader = threading.Thread(target=read)
    with os.fdopen(writing, "w") as stream:
        writer = LineWriter(stream, pause=LONG)
        for _ in range(3000):
            writer.write("x" * 100)
        reader.start()
        writer.flush()
        writer.begin()
    reader.join(10)
    assert received[0].count(b"\n") == 3000


def test_a_reader_that_has_gone_does_no_harm():
    stream = io.StringIO()
    writer = LineWriter(stream)
    stream.close()
    writer.write("nobody reads this")
    writer.close()


def test_a_child_begins_with_nothing_of_its_parent():
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        writer = LineWriter(stream, pause=LONG)
        writer.write("of the parent")
        child = os.fork()
        if child == 0:
            writer.write("of the child")
            writer.flush()
            os._exit(0)
        os.waitpid(child, 0)
        writer.begin()
    with os.fdopen(reading) as output:
        assert output.read() == "of the child\n"
