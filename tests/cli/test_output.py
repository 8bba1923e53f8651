from __future__ import annotations

import sys

import click
import pytest

from tokensvc.cli.output import confirm


class Terminal:
    def isatty(self):
        return True


@pytest.mark.parametrize(("yes", "asked"), [(True, []), (False, ["sure?"])])
def test_t15_a_person_is_asked_before_what_cannot_be_undone(yes, asked, monkeypatch):
    questions = []
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(click, "confirm", lambda question, **_: questions.append(question))
    confirm("sure?", yes=yes)
    assert questions == asked


def test_one_field_is_printed_bare(cli, account):
    assert cli("account show --field id", account).stdout == f"{account}\n"
    assert cli("account list --field name").stdout == "Orders\n"
    assert cli("account show --field suspended_at", account).stdout == "-\n"
    unknown = cli("account show --field nothing", account, code=2).stderr
    assert "there is no field 'nothing'; the fields are id, name, state" in unknown
