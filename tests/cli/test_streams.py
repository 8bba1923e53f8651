"""Streams that are closed, full, or cannot show a text: one line, and no key that nobody saw."""

from __future__ import annotations

import subprocess

import pytest
from testbed.processes import EXECUTABLE, clean_environment


def run_in_shell(line, folder, **environment):
    return subprocess.run(
        ["sh", "-c", line.replace("tokensvc", str(EXECUTABLE))],
        cwd=folder,
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # without a terminal, so nobody can be asked
    )


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("tokensvc settings > /dev/full", 1, "the output cannot be written.*No space left on dev"),
        ("tokensvc settings >&-", 1, "the output cannot be written.*Bad file descriptor"),
        ("tokensvc settings <&- > /dev/null", 0, ""),
        ("tokensvc --help > /dev/full", 1, "the output cannot be written.*No space left on dev"),
        ("tokensvc --help >&-", 1, "the output cannot be written.*Bad file descriptor"),
        ("tokensvc settings 2>&- > /dev/null", 0, ""),
        ("tokensvc token inspect - <&-", 5, "no token came: stdin is empty"),
        ("tokensvc token verify < /dev/null", 5, "no token came: stdin is empty"),
        ("tokensvc token get < /dev/null", 4, "there is no API key, and nobody to ask for one"),
    ],
)
def test_a_stream_that_is_lost_is_told_in_one_line(tmp_path, line, code, said):
    done = run_in_shell(line, tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (code, bool(said)), done.stderr
    assert said.split(".*")[0] in done.stderr
    assert said.split(".*")[-1] in done.stderr


def test_no_key_is_made_if_it_cannot_be_printed(ready, database_url, tmp_path):
    account = ready("account create x --field id").stdout.strip()
    made = run_in_shell(
        f"tokensvc key create --account {account} --name lost --capability a >&-",
        tmp_path,
        TOKENSVC_DATABASE_URL=database_url,
    )
    assert made.returncode == 5
    assert made.stderr.startswith("tokensvc: the secret would be lost: stdout takes nothing")
    assert "lost" not in ready("key list --account", account).stdout


def test_an_encoding_that_lacks_a_letter_shows_its_number(tmp_path):
    shown = run_in_shell(
        "tokensvc settings",
        tmp_path,
        PYTHONIOENCODING="latin-1",
        TOKENSVC_DATA_DIR="事",
    )
    assert shown.stderr == ""
    assert "\\u4e8b" in shown.stdout
