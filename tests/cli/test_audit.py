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


def test_an_export_is_checked_line_by_line_and_a_changed_one_names_its_event(cli, key, tmp_path):
    lines = cli("audit export").stdout.splitlines(keepends=True)
    path = tmp_path / "trail.jsonl"
    path.write_text("".join(lines))
    whole = cli.json("audit verify")
    checked = cli.json("audit verify --file", str(path))
    assert whole["status"] == checked["status"] == "whole"
    assert (whole["checkpoint"], whole["hash"]) == (None, checked["hash"])
    assert key["id"] in lines[-1]
    path.write_text("".join([*lines[:-1], lines[-1].replace(key["id"], "key_0000000000000000")]))
    broken = cli.json("audit verify --file", str(path), code=1)
    assert (broken["status"], broken["number"]) == ("broken", whole["number"])
    path.write_text("nothing\n")
    assert "no exported audit trail" in cli("audit verify --file", str(path), code=5).stderr
    last = whole["number"] - 1
    assert len(cli(f"audit export --after {last}").stdout.splitlines()) == 2


def test_pruning_prints_a_signed_checkpoint_and_the_trail_goes_on(ready):
    cli, account = ready, ready.json("account create Orders")["id"]
    before = cli.json("audit verify")["number"]
    assert cli.json("audit prune --before 2020-01-01")["checkpoint"] is None
    pruned = cli.json("audit prune --before 2999-12-31T00:00:00Z --yes")
    assert pruned["number"] == before
    assert pruned["checkpoint"].count(".") == 2
    whole = cli.json("audit verify")
    assert (whole["checkpoint"], whole["number"]) == (before, before + 1)
    reset = cli.json("audit declare-reset --reason", "a restored backup")
    assert reset["number"] == before + 2
    (event, _) = cli.json("audit list --since 2020-01-01T00:00:00+02:00 --most 9")
    assert (event["operation"], event["detail"]["after"]) == ("audit.reset", reset["epoch"])
    assert account not in str(cli.json("audit list"))
    assert "no moment" in cli("audit list --since yesterday", code=2).stderr
