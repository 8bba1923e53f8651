from __future__ import annotations

import os
import stat
from datetime import datetime, timedelta

from testbed.leaks import find_secrets
from testbed.processes import run_cli

CREATE = "key create --name x --capability orders:read"
NO_ACCOUNT, NO_KEY = "acct_0000000000000000", "key_0000000000000000"
TOO_LONG = "longer than a hundred years"


def test_a_key_is_created_and_shown_once(cli, key, account):
    assert set(key) == {
        *("id", "key", "account", "name", "description", "hint", "state", "capabilities"),
        *("created_at", "expires_at", "disabled_at", "revoked_at", "predecessor", "successor"),
        *("tier", "per_minute", "per_day"),
        *("own_per_minute", "own_per_day", "audiences", "networks", "metadata", "claims"),
        *("last_used_at", "last_used_network", "last_used_audience", "self_rotation", "replayed"),
    }
    assert (key["account"], key["state"]) == (account, "active")
    assert key["capabilities"] == ["orders:read", "orders:write"]
    later = [
        cli("key list"),
        cli("key show", key["id"]),
        cli("key list -o json --account", account),
    ]
    assert all(key["id"] in result.stdout for result in later)
    assert [find_secrets(result.output) for result in later] == [[], [], []]


def test_a_key_may_expire(cli, key, account):
    text = cli(CREATE, "--expires-in", "90d", "--account", account)
    assert len(find_secrets(text.stdout)) == 1
    assert text.stderr == "the key is shown this once: store it now\n"
    first, second = cli.json("key list")
    assert (first["id"], first["expires_at"]) == (key["id"], None)
    life = parse_moment(second["expires_at"]) - parse_moment(second["created_at"])
    assert life == timedelta(days=90)
    assert cli("key list --account", account).stdout.count("key_") == 2


def test_an_empty_list_of_keys_says_how_to_begin(cli, account):
    assert "no keys yet" in cli("key list").stderr
    assert cli.json("key list --account", account) == []
    assert cli("key list --account", NO_ACCOUNT).stderr == "no such keys\n"
    wrong = cli("key list --account acct_0", code=5)
    assert wrong.stderr.startswith("tokensvc: 'acct_0' is too short for the id of one account")


def test_a_key_can_be_written_to_a_new_file_that_only_we_can_read(cli, account, tmp_path):
    path, successor = tmp_path / "key.env", tmp_path / "next.env"
    arguments = ("--account", account, "--write-env", str(path))
    made = cli.json(CREATE, *arguments)
    assert path.read_text() == f"TOKENSVC_API_KEY={made['key']}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "(File exists); name a new file" in cli(CREATE, *arguments, code=5).stderr
    refused = cli("key rotate", made["id"], "--write-env", str(path), code=5)
    assert "(File exists)" in refused.stderr
    assert len(cli.json("key list")) == 1, "nothing was made that nobody has seen"
    rotated = cli.json("key rotate", made["id"], "--write-env", str(successor))
    assert successor.read_text() == f"TOKENSVC_API_KEY={rotated['key']}\n"


def test_no_key_is_made_if_its_file_cannot_be_written(cli, account, tmp_path):
    path = tmp_path / "no" / "folder" / "key.env"
    result = cli(CREATE, "--account", account, "--write-env", str(path), code=5)
    assert "folder" in result.stderr
    assert cli.json("key list") == []


def test_a_key_is_updated(cli, key):
    changed = cli.json(
        "key update --name new --description d --capability orders:read --expires-in 2w", key["id"]
    )
    assert (changed["name"], changed["description"]) == ("new", "d")
    assert changed["capabilities"] == ["orders:read"]
    assert changed["expires_at"] is not None
    assert cli.json("key update --expires-in never", key["id"])["expires_at"] is None
    assert cli.json("denylist list") == []
    assert cli.json("key update --revoke-tokens", key["id"])["state"] == "active"
    assert [row["value"] for row in cli.json("denylist list")] == [key["id"]]


def test_a_key_is_disabled_and_enabled(cli, key):
    assert cli.json("key disable", key["id"])["state"] == "disabled"
    assert "disabled and cannot be rotated" in cli("key rotate", key["id"], code=5).stderr
    assert cli.json("key enable", key["id"])["state"] == "active"


def test_a_key_is_rotated_once(cli, key):
    successor = cli.json("key rotate --grace 1h", key["id"])
    assert (successor["predecessor"], successor["name"]) == (key["id"], "ci")
    old = cli.json("key show", key["id"])
    assert (old["successor"], old["state"]) == (successor["id"], "active")
    assert "has been rotated already" in cli("key rotate", key["id"], code=5).stderr
    assert cli.json("key rotate --grace now", successor["id"])["key"] != successor["key"]
    assert cli.json("key show", successor["id"])["state"] == "expired"


def test_a_key_is_revoked_and_deleted(cli, key):
    key_id = key["id"]
    assert cli.json("key revoke --yes", key_id)["state"] == "revoked"
    assert "is revoked and cannot be enabled" in cli("key enable", key_id, code=5).stderr
    assert cli.json("key delete --yes", key_id) == {"id": key_id, "state": "deleted"}
    for verb in ("show", "update", "disable", "enable", "rotate", "revoke", "delete"):
        assert "there is no key" in cli("key", verb, key_id, code=3).stderr


def test_a_life_or_a_grace_beyond_the_calendar_is_refused(cli, account, key):
    for line in (
        f"{CREATE} --account {account} --expires-in 999999w",
        f"key update {key['id']} --expires-in 999999w",
        f"key rotate {key['id']} --grace 999999w",
    ):
        assert TOO_LONG in cli(line, code=2).stderr
    assert [row["id"] for row in cli.json("key list")] == [key["id"]]


def test_a_slip_in_a_capability_is_refused_with_the_way_out(cli, account, key):
    arguments = ("--account", account, "--capability", "orders:raed")
    hint = "did you mean 'orders:read'? If not: tokensvc capability create orders:raed"
    assert hint in cli(CREATE, *arguments, code=5).stderr
    cli("capability create orders:raed")
    made = cli.json(CREATE, *arguments)
    assert made["capabilities"] == ["orders:raed", "orders:read"]
    assert key["id"] in cli("key list").stdout


def test_the_installed_program_does_the_same(key, tmp_path):
    environment = {"TOKENSVC_DATABASE_URL": os.environ["TOKENSVC_DATABASE_URL"]}
    shown = run_cli("key", "show", key["id"], "--field", "id", cwd=tmp_path, **environment)
    assert (shown.returncode, shown.stdout, shown.stderr) == (0, f"{key['id']}\n", "")
    missing = run_cli("key", "show", NO_KEY, cwd=tmp_path, **environment)
    assert (missing.returncode, missing.stdout) == (3, "")
    assert missing.stderr.startswith(f"tokensvc: there is no key '{NO_KEY}'")


def parse_moment(text):
    return datetime.fromisoformat(text)
