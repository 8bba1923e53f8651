from __future__ import annotations

from tokensvc.core.capability import OWN_CAPABILITIES


def test_capabilities_are_created_listed_and_deleted(cli):
    own = [row["name"] for row in cli.json("capability list")]
    assert own == sorted(OWN_CAPABILITIES)
    made = cli.json("capability create orders:read --description really")
    assert (made["name"], made["description"]) == ("orders:read", "really")
    assert "exists already" in cli("capability create orders:read", code=5).stderr
    assert "a capability is 1 to 64" in cli("capability create 'no good'", code=5).stderr
    assert [row["name"] for row in cli.json("capability list")] == ["orders:read", *own]
    assert "orders:read" in cli("capability list").stdout
    deleted = {"name": "orders:read", "state": "deleted"}
    assert cli.json("capability delete orders:read") == deleted
    assert "there is no capability" in cli("capability delete orders:read", code=3).stderr


def test_a_capability_that_a_key_holds_is_not_deleted(cli, key):
    refused = cli("capability delete", key["capabilities"][0], code=5)
    assert "is held by 1 key(s)" in refused.stderr


def test_the_verbs_of_earlier_versions_still_do_and_are_not_shown(cli):
    assert cli.json("capability add a")["name"] == "a"
    assert cli.json("capability remove a")["state"] == "deleted"
    shown = cli("capability --help").stdout
    assert "add" not in shown
    assert "remove" not in shown
