"""Keys in files and histories are found, and reported to the service."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tokensvc.cli import scan_files
from tokensvc.core.api_key import new_api_key

KEY = new_api_key()


def git(*arguments):
    return subprocess.run(
        ["git", "-c", "user.name=x", "-c", "user.email=x@example", *arguments],
        check=True,
        capture_output=True,
    )


@pytest.fixture
def here(offline_cli, tmp_path):
    """Commands in an empty folder, and that folder."""
    return offline_cli, tmp_path


def test_a_find_is_printed_with_its_place_and_hint_and_never_whole(here):
    cli, folder = here
    (folder / "src").mkdir()
    (folder / "src/app.py").write_text(f"import os\n\nKEY = '{KEY.text}'\n")
    (folder / "b.bin").write_bytes(b"\0\xff" + KEY.text.encode("utf-16"))
    shown = cli("key scan .", code=5)
    assert shown.stdout == f"b.bin:1: {KEY.hint}\nsrc/app.py:3: {KEY.hint}\n"
    assert KEY.text not in shown.output
    assert cli.json("key scan src", code=5) == [
        {"path": "src/app.py", "line": 3, "hint": KEY.hint, "commit": None}
    ]
    assert cli("key scan src --field line", code=5).stdout == "3\n"


def test_where_there_is_nothing_the_exit_code_is_0(here):
    cli, folder = here
    (folder / "a").write_text(KEY.text[:-1])
    shown = cli("key scan .")
    assert (shown.stdout, shown.stderr) == ("", "no keys were found\n")
    assert cli.json("key scan .") == []


def test_stdin_and_another_prefix(here):
    cli, _ = here
    other = new_api_key("acme-")
    assert cli("key scan -", stdin=f"a\n{KEY.text}", code=5).stdout == f"-:2: {KEY.hint}\n"
    cli("key scan -", stdin=other.text)
    cli("key scan - --prefix acme-", stdin=other.text, code=5)
    cli("key scan -", stdin=other.text, code=5, TOKENSVC_KEY_PREFIX="acme-")
    assert "must be 1 to 7 letters" in cli("key scan - --prefix nonsense", code=2).stderr


def test_a_key_that_lies_across_two_parts_of_a_large_file_is_found_once(here, monkeypatch):
    cli, folder = here
    monkeypatch.setattr(scan_files, "_READ_AT_ONCE", 500)
    for at in range(400, 520, 7):
        (folder / "large").write_text("\n" * at + KEY.text + "\n" * 700 + KEY.text)
        lines = cli("key scan large --field line", code=5).stdout.split()
        assert lines == [str(at + 1), str(at + 701)]


def test_links_and_pipes_are_left_out_and_what_cannot_be_read_is_told(here):
    cli, folder = here
    (folder / "in").mkdir()
    (folder / "key").write_text(KEY.text)
    (folder / "in/link").symlink_to(folder / "key")
    (folder / "in/loop").symlink_to(folder)
    os.mkfifo(folder / "in/pipe")
    cli("key scan in")
    shown = cli("key scan absent", code=1)
    assert "absent cannot be read: No such file or directory" in shown.stderr
    cli("key scan absent key", code=5)


def test_a_name_cannot_control_the_terminal(here):
    cli, folder = here
    (folder / "a\x1b[2J\n").write_text(KEY.text)
    assert cli("key scan .", code=5).stdout == f"a\\x1b[2J\\n:1: {KEY.hint}\n"


def test_the_history_is_read_whole_and_each_key_told_once_for_each_path(here):
    cli, folder = here
    other = new_api_key()
    git("init", "-q")
    for text in (f"x\n{KEY.text}\n", f"{KEY.text}\nmore\n", "nothing\n"):
        (folder / "a.txt").write_text(text)
        git("add", "a.txt")
        git("commit", "-q", "-m", f"about {other.text}" if text == "nothing\n" else "more")
    git("update-ref", "refs/heads/side", "HEAD")
    for log in (folder / ".git/logs").rglob("*"):
        if log.is_file():
            log.unlink()
    (folder / ".git/COMMIT_EDITMSG").unlink()
    cli("key scan .")
    told = {(row["path"], row["line"], row["hint"]) for row in cli.json("key scan --git .", code=5)}
    assert told == {("a.txt", 2, KEY.hint), ("(message of the commit)", 6, other.hint)}
    git("update-ref", "-d", "refs/heads/side")
    bare = folder.parent / f"{folder.name}-bare"
    git("clone", "-q", "--bare", ".", str(bare))
    assert len(cli.json(f"key scan --git {bare}", code=5)) == 2


def test_what_no_commit_leads_to_is_told_as_well(here):
    cli, folder = here
    git("init", "-q")
    (folder / "a").write_text(KEY.text)
    git("hash-object", "-w", "a")
    (folder / "a").unlink()
    (row,) = cli.json("key scan --git .", code=5)
    assert row["path"] == "(no commit leads to this object)"


def test_t52_no_program_is_run_that_a_repository_names(here):
    cli, folder = here
    git("init", "-q", "repository")
    inside = ("-C", str(folder / "repository"))
    (folder / "repository/a").write_text(KEY.text)
    git(*inside, "add", "a")
    git(*inside, "commit", "-q", "-m", "x")
    # A commit that says it is signed, and a program that would look at the signature.
    said = git(*inside, "cat-file", "commit", "HEAD").stdout
    head, _, message = said.partition(b"\n\n")
    signature = b"\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ==\n -----END PGP SIGNATURE-----"
    (folder / "signed").write_bytes(head + signature + b"\n\n" + message)
    signed = git(*inside, "hash-object", "-t", "commit", "-w", str(folder / "signed")).stdout
    git(*inside, "reset", "-q", "--hard", signed.decode().strip())
    program = folder / "program"
    program.write_text(f"#!/bin/sh\ntouch {folder}/it-was-run\n")
    program.chmod(0o755)
    for name, value in (
        ("log.showSignature", "true"),
        ("gpg.program", program),
        ("core.fsmonitor", program),
        ("diff.external", program),
        ("core.pager", program),
        ("core.sshCommand", program),
    ):
        git(*inside, "config", name, str(value))
    rows = cli.json("key scan --git repository", code=5)
    assert {row["commit"] for row in rows} - {None}
    assert not (folder / "it-was-run").exists()


def test_a_folder_without_history_and_a_shallow_clone_are_told(here):
    cli, folder = here
    assert "git cannot read the history" in cli("key scan --git .", code=1).stderr
    git("init", "-q", "whole")
    (folder / "whole/a").write_text("x")
    git("-C", "whole", "add", "a")
    for message in "ab":
        git("-C", "whole", "commit", "-q", "--allow-empty", "-m", message)
    git("clone", "-q", "--depth", "1", f"file://{folder}/whole", "shallow")
    assert "without its whole history" in cli("key scan --git shallow", code=1).stderr


def test_t48_what_is_found_is_reported_and_disabled(ready, key, tmp_path):
    (tmp_path / "leak.env").write_text(f"TOKENSVC_API_KEY={key['key']}\n")
    shown = ready("key scan --report leak.env", code=5)
    assert "1 key(s) reported" in shown.stderr
    assert ready.json("key show", key["id"])["state"] == "disabled"
    told = ready.json("key leaks", key["id"])
    assert [(place["url"], place["source"]) for place in told["places"]] == [("leak.env:1", "file")]
    assert "file leak.env:1" in ready("key leaks", key["id"]).stdout
    assert json.dumps(told).count(key["key"]) == 0
