from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest
from testbed.waiting import PATIENCE

ASK = "from tokensvc.cli.output import confirm; confirm('sure?', yes={yes}); print('done')"


@pytest.fixture
def terminal():
    """Two ends of a terminal: that of a person, and that of a program."""
    person, program = pty.openpty()
    yield person, program
    os.close(person)
    os.close(program)


@pytest.mark.parametrize(
    ("yes", "typed", "shown"),
    [
        (True, b"", b"done\r\n"),
        (False, b"y\n", b"sure? [y/N]: "),
    ],
)
def test_t15_a_person_is_asked_before_what_cannot_be_undone(yes, typed, shown, terminal):
    person, program = terminal
    command = [sys.executable, "-c", ASK.format(yes=yes)]
    with subprocess.Popen(command, stdin=program, stdout=program, stderr=program) as process:
        read = b""
        while len(read) < len(shown):  # a terminal gives what it has
            read += os.read(person, len(shown) - len(read))
        assert read == shown
        os.write(person, typed)
        assert process.wait(PATIENCE) == 0


def test_a_program_is_not_asked():
    command = [sys.executable, "-c", ASK.format(yes=False)]
    told = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert (told.stdout, told.stderr) == (b"done\n", b"")


def test_one_field_is_printed_bare(cli, account):
    assert cli("account show --field id", account).stdout == f"{account}\n"
    assert cli("account list --field name").stdout == "Orders\n"
    assert cli("account show --field suspended_at", account).stdout == "-\n"
    unknown = cli("account show --field nothing", account, code=2).stderr
    assert "there is no field 'nothing'; the fields are id, name, state" in unknown
