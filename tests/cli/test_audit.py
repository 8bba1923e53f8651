from __future__ import annotations

import getpass

from testbed.leaks import find_secrets


def test_the_audit_trail_lists_what_was_changed_newest_first(cli, key):
    cli("key revoke", key["id"])
    events = cli.json("audit list --subject", key["id"])
    assert [event["operation"] for event in events] == ["keys.revoke", "keys.create"]
    assert all(event["actor"].startswith("cli:") for event in events)
    assert find_secrets(str(events)) == []
    assert len(cli.json("audit list --most 2")) == 2
    assert "keys.revoke" in cli("audit list").stdout
    assert cli("audit list --subject nothing").stderr == "nothing has happened\n"


def test_who_acts_is_named_even_without_a_name_in_the_system(cli, monkeypatch):
    def find_nobody():
        raise KeyError

    monkeypatch.setattr(getpass, "getuser", find_nobody)
    made = cli.json("account create Orders")
    (event,) = cli.json("audit list --subject", made["id"])
    assert event["actor"] == "cli:unknown"
