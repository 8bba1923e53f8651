from __future__ import annotations


def test_capabilities_are_added_listed_and_removed(cli):
    assert cli("capability list").stderr == "no capabilities yet\n"
    added = cli.json("capability add orders:read --description really")
    assert (added["name"], added["description"]) == ("orders:read", "really")
    assert "exists already" in cli("capability add orders:read", code=5).stderr
    assert "a capability is 1 to 64" in cli("capability add 'no good'", code=5).stderr
    assert [row["name"] for row in cli.json("capability list")] == ["orders:read"]
    assert "orders:read" in cli("capability list").stdout
    removed = {"name": "orders:read", "state": "removed"}
    assert cli.json("capability remove orders:read") == removed
    assert "there is no capability" in cli("capability remove orders:read", code=3).stderr


def test_a_capability_that_a_key_holds_is_not_removed(cli, key):
    refused = cli("capability remove", key["capabilities"][0], code=5)
    assert "is held by 1 key(s)" in refused.stderr
