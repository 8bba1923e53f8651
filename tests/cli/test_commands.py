from __future__ import annotations

import stat
import sys
from datetime import datetime, timedelta

import click
import pytest
from testbed.leaks import find_secrets

from tokensvc.cli import output
from tokensvc.cli.root import _COMMANDS


def test_every_command_explains_itself_without_a_database(cli, subtests):
    assert "Exit codes: 0 done" in cli("--help", TOKENSVC_DATABASE_URL=None).stdout
    for name in _COMMANDS:
        with subtests.test(msg=name):
            assert name in cli("--help").stdout
            assert "Usage: tokensvc" in cli(name, "-h", TOKENSVC_DATABASE_URL="junk").stdout
    assert cli("--version").stdout.startswith("tokensvc, version ")


WRONG_USAGE = [
    ("nonsense",),
    ("account", "nonsense"),
    ("account", "create"),
    ("account", "list", "-o", "yaml"),
    ("account", "list", "--nonsense"),
    ("key", "create", "--name", "x"),
    ("key", "create", "--account", "x", "--name", "x", "--expires-in", "soon"),
    ("key", "create", "--account", "x", "--name", "x", "--expires-in", "90"),
    ("key", "rotate", "x", "--grace", "never"),
    ("audience", "add", "x", "--token-ttl", "1y"),
    ("audit", "list", "--most", "0"),
    ("token", "get", "--expires-in", "never"),
    ("serve", "--workers", "0"),
    ("tier", "add", "x", "--per-minute", "0", "--per-day", "1"),
    ("tier", "add", "x", "--per-minute", "1"),
    ("key", "update", "x", "--per-minute", "many"),
    ("key", "update", "x", "--per-day", "0"),
    ("key", "usage", "x", "--since", "yesterday"),
]


@pytest.mark.parametrize("arguments", WRONG_USAGE, ids=" ".join)
def test_wrong_usage_is_exit_code_2_and_changes_nothing(arguments, cli):
    result = cli(*arguments, code=2)
    assert "Usage: tokensvc" in result.stderr
    assert result.stdout == ""


def test_accounts_are_created_listed_shown_suspended_resumed_and_deleted(cli):
    assert cli("account", "list").stderr == "no accounts yet: tokensvc account create NAME\n"
    assert cli.json("account", "list") == []
    created = cli.json("account", "create", "Orders team")
    assert set(created) == {
        "id",
        "name",
        "state",
        "created_at",
        "suspended_at",
        "tier",
        "per_minute",
        "per_day",
    }
    assert (created["name"], created["state"], created["suspended_at"]) == (
        "Orders team",
        "active",
        None,
    )
    assert created["created_at"].endswith("Z")
    text = cli("account", "create", "Second")
    assert text.stdout.startswith("id            acct_")
    assert text.stderr.startswith("next: tokensvc key create --account acct_")
    assert [row["name"] for row in cli.json("account", "list")] == ["Orders team", "Second"]
    table = cli("account", "list").stdout
    assert created["id"] in table
    assert "Orders team" in table
    assert cli.json("account", "show", created["id"]) == created
    assert cli.json("account", "suspend", created["id"], "--yes")["state"] == "suspended"
    assert "suspended" in cli("account", "show", created["id"]).stdout
    assert cli.json("account", "resume", created["id"])["state"] == "active"
    assert cli.json("account", "delete", created["id"]) == {"id": created["id"], "state": "deleted"}
    assert "there is no account" in cli("account", "show", created["id"], code=3).stderr


def test_a_key_is_created_and_shown_once(cli, key, account):
    assert set(key) == {
        *("id", "key", "account", "name", "description", "hint", "state", "capabilities"),
        *("created_at", "expires_at", "disabled_at", "revoked_at", "predecessor", "successor"),
        *(
            "tier",
            "per_minute",
            "per_day",
            "last_used_at",
            "last_used_network",
            "last_used_audience",
        ),
    }
    assert (key["account"], key["capabilities"], key["state"]) == (
        account,
        ["orders:read", "orders:write"],
        "active",
    )
    later = [
        cli("key", "list"),
        cli("key", "show", key["id"]),
        cli("key", "list", "--account", account, "-o", "json"),
    ]
    assert all(key["id"] in result.stdout and find_secrets(result.output) == [] for result in later)
    arguments = (
        "key",
        "create",
        "--account",
        account,
        "--name",
        "two",
        "--capability",
        "orders:read",
        "--expires-in",
        "90d",
    )
    text = cli(*arguments)
    assert len(find_secrets(text.stdout)) == 1
    assert text.stderr == "the key is shown this once: store it now\n"
    (_, second) = cli.json("key", "list")
    assert _moment(second["expires_at"]) - _moment(second["created_at"]) == timedelta(days=90)
    assert cli("key", "list", "--account", account).stdout.count("key_") == 2


def test_an_empty_list_of_keys_says_how_to_begin(cli, account):
    assert "no keys yet" in cli("key", "list").stderr
    assert cli.json("key", "list", "--account", account) == []
    assert "there is no account" in cli("key", "list", "--account", "acct_0", code=3).stderr


def test_a_key_can_be_written_to_a_new_file_that_only_we_can_read(cli, account, tmp_path):
    path = tmp_path / "key.env"
    arguments = (
        "--account",
        account,
        "--name",
        "x",
        "--capability",
        "orders:read",
        "--write-env",
        str(path),
    )
    made = cli.json("key", "create", *arguments)
    assert path.read_text() == f"TOKENSVC_API_KEY={made['key']}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "(File exists); name a new file" in cli("key", "create", *arguments, code=5).stderr
    assert (
        "(File exists)" in cli("key", "rotate", made["id"], "--write-env", str(path), code=5).stderr
    )
    assert len(cli.json("key", "list")) == 1, "nothing was made that nobody has seen"
    rotated = cli.json("key", "rotate", made["id"], "--write-env", str(tmp_path / "next.env"))
    assert (tmp_path / "next.env").read_text() == f"TOKENSVC_API_KEY={rotated['key']}\n"


def test_a_key_is_never_made_and_then_lost_because_its_file_cannot_be_written(
    cli, account, tmp_path
):
    arguments = ("--account", account, "--name", "x", "--capability", "orders:read")
    result = cli(
        "key",
        "create",
        *arguments,
        "--write-env",
        str(tmp_path / "no" / "folder" / "key.env"),
        code=5,
    )
    assert "folder" in result.stderr
    assert cli.json("key", "list") == []


def test_keys_are_updated_disabled_enabled_rotated_revoked_and_deleted(cli, key):
    key_id = key["id"]
    changed = cli.json(
        "key",
        "update",
        key_id,
        "--name",
        "new",
        "--description",
        "d",
        "--capability",
        "orders:read",
        "--expires-in",
        "2w",
    )
    assert (changed["name"], changed["description"], changed["capabilities"]) == (
        "new",
        "d",
        ["orders:read"],
    )
    assert cli.json("key", "update", key_id, "--expires-in", "never")["expires_at"] is None
    assert cli.json("denylist", "list") == []
    assert cli.json("key", "update", key_id, "--revoke-tokens")["state"] == "active"
    assert [row["value"] for row in cli.json("denylist", "list")] == [key_id]
    assert cli.json("key", "disable", key_id)["state"] == "disabled"
    assert "disabled and cannot be rotated" in cli("key", "rotate", key_id, code=5).stderr
    assert cli.json("key", "enable", key_id)["state"] == "active"
    successor = cli.json("key", "rotate", key_id, "--grace", "1h")
    assert (successor["predecessor"], successor["name"]) == (key_id, "new")
    old = cli.json("key", "show", key_id)
    assert (old["successor"], old["state"]) == (successor["id"], "active")
    assert "has been rotated already" in cli("key", "rotate", key_id, code=5).stderr
    assert cli.json("key", "rotate", successor["id"], "--grace", "now")["key"] != successor["key"]
    assert cli.json("key", "show", successor["id"])["state"] == "expired"
    assert cli.json("key", "revoke", key_id, "--yes")["state"] == "revoked"
    assert "is revoked and cannot be enabled" in cli("key", "enable", key_id, code=5).stderr
    assert cli.json("key", "delete", key_id, "--yes") == {"id": key_id, "state": "deleted"}
    for verb in ("show", "update", "disable", "enable", "rotate", "revoke", "delete"):
        assert "there is no key" in cli("key", verb, key_id, code=3).stderr


def test_a_life_beyond_the_calendar_is_refused(cli, account, key):
    arguments = (
        "--account",
        account,
        "--name",
        "x",
        "--capability",
        "orders:read",
        "--expires-in",
        "999999w",
    )
    assert "longer than a hundred years" in cli("key", "create", *arguments, code=2).stderr
    assert (
        "longer than a hundred years"
        in cli("key", "update", key["id"], "--expires-in", "999999w", code=2).stderr
    )


def test_a_grace_beyond_the_calendar_is_refused_and_keys_can_still_be_listed(cli, key):
    assert (
        "longer than a hundred years"
        in cli("key", "rotate", key["id"], "--grace", "999999w", code=2).stderr
    )
    assert [row["id"] for row in cli.json("key", "list")] == [key["id"]]


def test_a_slip_in_a_capability_is_refused_with_the_way_out(cli, account, key):
    arguments = (
        "key",
        "create",
        "--account",
        account,
        "--name",
        "x",
        "--capability",
        "orders:raed",
    )
    assert (
        "did you mean 'orders:read'? If not: tokensvc capability add orders:raed"
        in cli(*arguments, code=5).stderr
    )
    assert (
        cli.json("capability", "add", "orders:raed", "--description", "really")["description"]
        == "really"
    )
    cli(*arguments)
    assert key["id"] in cli("key", "list").stdout


def test_capabilities_are_added_listed_and_removed(cli):
    assert cli("capability", "list").stderr == "no capabilities yet\n"
    cli("capability", "add", "orders:read")
    assert "exists already" in cli("capability", "add", "orders:read", code=5).stderr
    assert "a capability is 1 to 64" in cli("capability", "add", "no good", code=5).stderr
    assert [row["name"] for row in cli.json("capability", "list")] == ["orders:read"]
    assert "orders:read" in cli("capability", "list").stdout
    assert cli.json("capability", "remove", "orders:read") == {
        "name": "orders:read",
        "state": "removed",
    }
    assert "there is no capability" in cli("capability", "remove", "orders:read", code=3).stderr


def test_a_capability_that_is_held_stays(cli, key):
    assert (
        "is held by 1 key(s)" in cli("capability", "remove", key["capabilities"][0], code=5).stderr
    )


def test_audiences_are_added_listed_updated_and_removed(ready):
    added = ready.json("audience", "add", "orders", "--token-ttl", "5m", "--description", "shop")
    assert (added["name"], added["token_ttl"], added["description"]) == ("orders", 300, "shop")
    assert [row["name"] for row in ready.json("audience", "list")] == ["api", "orders"]
    assert "orders" in ready("audience", "list").stdout
    assert ready.json("audience", "update", "orders", "--description", "x")["token_ttl"] == 300
    assert ready.json("audience", "update", "orders", "--token-ttl", "default")["token_ttl"] is None
    assert ready.json("audience", "add", "plain", "--token-ttl", "default")["token_ttl"] is None
    assert (
        "TOKENSVC_MAX_TOKEN_TTL"
        in ready("audience", "update", "orders", "--token-ttl", "2h", code=5).stderr
    )
    assert "exists already" in ready("audience", "add", "orders", code=5).stderr
    assert ready.json("audience", "remove", "orders") == {"name": "orders", "state": "removed"}
    assert "there is no audience" in ready("audience", "remove", "orders", code=3).stderr
    assert "is the default audience" in ready("audience", "remove", "api", code=5).stderr


def test_before_init_there_are_no_audiences_and_no_signing_keys(cli):
    assert cli("audience", "list").stderr == "no audiences\n"
    assert cli("signing-key", "list").stderr == "no signing keys yet: tokensvc init\n"


def test_init_shows_the_admin_key_once_and_can_be_repeated(cli, tmp_path):
    first = cli.json("init")
    assert first["status"] == "ready"
    assert find_secrets(first["key"]) == [first["key"]]
    assert cli.json("init") == {"status": "ready"}
    assert cli("init").stdout.split() == ["status", "ready"]
    assert (tmp_path / "keys" / "master.key").is_file()


def test_migrate_says_what_it_has_applied(cli, new_database_url):
    url = new_database_url(False)
    refused = cli("account", "list", TOKENSVC_DATABASE_URL=url, code=1)
    assert "the database lacks" in refused.stderr
    assert "run: tokensvc init" in refused.stderr
    assert cli.json("migrate", TOKENSVC_DATABASE_URL=url)["applied"][0] == "0001_core.sql"
    assert cli.json("migrate", TOKENSVC_DATABASE_URL=url) == {"applied": []}
    assert cli("migrate", TOKENSVC_DATABASE_URL=url).stdout.split() == ["applied"]


def test_signing_keys_are_listed_and_rotated(ready):
    listed = ready.json("signing-key", "list")
    assert sorted(row["phase"] for row in listed) == ["active", "pending"]
    assert all(
        set(row) >= {"kid", "alg", "age_seconds", "safe_to_activate_at", "safe_to_remove_at"}
        for row in listed
    )
    (standby,) = [row["kid"] for row in listed if row["phase"] == "pending"]
    assert standby in ready("signing-key", "list").stdout
    assert ready.json("signing-key", "rotate")["kid"] == standby
    planned = ready("signing-key", "rotate")
    assert "published already and signs from then on" in planned.stderr
    assert "a rotation is already planned" in ready("signing-key", "rotate", code=5).stderr


def test_the_denylist_and_the_audit_trail_are_listed(cli, key):
    assert cli("denylist", "list").stderr == "nothing is revoked\n"
    cli("key", "revoke", key["id"])
    (row,) = cli.json("denylist", "list")
    assert (row["seq"], row["kind"], row["value"], row["reason"]) == (
        1,
        "key",
        key["id"],
        "key revoked",
    )
    assert row["expires"] >= row["upto"] + 120
    assert key["id"] in cli("denylist", "list").stdout
    events = cli.json("audit", "list", "--subject", key["id"])
    assert [event["action"] for event in events] == ["key.revoke", "key.create"]
    assert all(event["actor"].startswith("cli:") for event in events)
    assert len(cli.json("audit", "list", "--most", "2")) == 2
    assert "key.revoke" in cli("audit", "list").stdout
    assert cli("audit", "list", "--subject", "nothing").stderr == "nothing has happened\n"
    assert find_secrets(str(events)) == []


def test_who_acts_is_named_even_without_a_name_in_the_system(cli, monkeypatch):
    def nobody():
        raise KeyError

    monkeypatch.setattr("tokensvc.cli.session.getpass.getuser", nobody)
    made = cli.json("account", "create", "Orders")
    (event,) = cli.json("audit", "list", "--subject", made["id"])
    assert event["actor"] == "cli:unknown"


def test_a_person_is_asked_before_what_cannot_be_undone(monkeypatch):
    class Terminal:
        def isatty(self):
            return True

    asked = []
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(click, "confirm", lambda question, **_: asked.append(question))
    output.confirm("sure?", yes=True)
    assert asked == []
    output.confirm("sure?", yes=False)
    assert asked == ["sure?"]


def _moment(text):
    return datetime.fromisoformat(text)
