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


def test_lists_are_lines_with_tabs_for_programs(cli, account, key):
    assert cli("key list").stdout.startswith(f"{key['id']}\tci\tactive\t-\t-\t{account}\t")
    made = cli.json("account show", account)["created_at"][:19].replace("T", " ")
    assert cli("account list").stdout == f"{account}\tOrders\tactive\tdefault\t{made}Z\n"


@pytest.mark.parametrize("more", ["", "--wide", "--no-color"])
def test_a_table_on_a_terminal_of_80_columns_cuts_nothing(more, cli, account, key, monkeypatch):
    monkeypatch.setattr("tokensvc.cli.output.is_terminal", lambda: True)
    result = cli(f"key list {more}", COLUMNS="80")
    assert key["id"] in result.stdout
    if more == "--wide":
        assert account in result.stdout
        assert "Z" in cli("account list --wide").stdout
    else:
        assert max(map(len, result.stdout.splitlines())) <= 80
        assert "not shown: account, " in result.stderr
        assert "s ago" in cli("account list").stdout


def test_every_list_fits_80_columns_and_so_does_what_it_leaves_out(ready, key, monkeypatch):
    monkeypatch.setattr("tokensvc.cli.output.is_terminal", lambda: True)
    ready("key disable --reason", "it was seen in a log that anybody could read", key["id"])
    ready("tier create --per-minute 1 --per-day 2 small --description", "for those who try it out")
    ready("audience create orders-api --description", "the service that keeps all the orders")
    ready("notice create https://hooks.example/x")
    for noun in (
        *("account", "key", "capability", "audience", "tier", "denylist", "signing-key"),
        *("audit", "notice"),
    ):
        more = "--with-use" if noun in {"capability", "audience", "tier"} else ""
        listed = ready(f"{noun} list {more}", COLUMNS="80")
        assert max(map(len, listed.output.splitlines())) <= 80, listed.output
        if noun == "audit":
            assert key["id"] in listed.stdout  # though another subject is a kid of 43 characters
    refused = ready("key batch enable key_0000000000000000", COLUMNS="80", code=5).stdout
    assert "`tokensvc key list` shows their ids" in " ".join(refused.split())


def test_a_person_is_asked_before_verifiers_may_refuse_and_tokens_are_revoked(
    ready, key, monkeypatch
):
    asked = []
    for module in ("denylist", "signing_key"):
        monkeypatch.setattr(
            f"tokensvc.cli.{module}.confirm", lambda question, *, yes: asked.append((question, yes))
        )
    ready("denylist add --yes --key ci")
    ready("signing-key rotate --now --force")
    assert [yes for _, yes in asked] == [True, False]
    assert (
        asked[0][0] == f"Revoke all tokens that {key['id']} has got so far? This cannot be undone."
    )
    assert "may refuse good tokens" in asked[1][0]


def test_a_list_ends_at_its_limit(cli, account):
    for name in "ab":
        cli("key create --capability x --account", account, "--name", name)
    assert cli("key list --limit 1 --field name --account Orders").stdout == "a\n"


def test_one_field_is_printed_bare(cli, account):
    assert cli("account show --field id", account).stdout == f"{account}\n"
    assert cli("account list --field name").stdout == "Orders\n"
    assert cli("account show --field suspended_at", account).stdout == "-\n"
    unknown = cli("account show --field nothing", account, code=2).stderr
    assert "there is no field 'nothing'; the fields are id, name, state" in unknown
