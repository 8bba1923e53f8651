from __future__ import annotations

import json
import stat

import pytest


def active(cli):
    return next(row for row in cli.json("signing-key", "list") if row["phase"] == "active")


def test_a_signing_key_is_revoked_and_succeeded(ready):
    before = active(ready)
    answer = ready.json("signing-key", "revoke", before["kid"], "--yes", "--reason", "lost")
    assert answer == {"kid": before["kid"], "state": "revoked", "successor": active(ready)["kid"]}
    assert before["kid"] in ready("denylist", "list").stdout
    assert (
        "there is no signing key" in ready("signing-key", "revoke", "gone", "--yes", code=3).stderr
    )
    assert ready.json("signing-key", "revoke", before["kid"], "--yes")["successor"] is None


def test_a_rotation_at_once_says_what_it_would_break(ready):
    assert ready.json("signing-key", "rotate", "--now")["unsafe_for_seconds"] == 0
    refused = ready("signing-key", "rotate", "--now", code=5)
    assert "--force" in refused.stderr
    forced = ready("signing-key", "rotate", "--now", "--force", "-o", "json")
    assert json.loads(forced.stdout)["unsafe_for_seconds"] > 600
    assert "forced: verifiers that have not fetched it may refuse good tokens" in forced.stderr
    assert "--force goes with --now" in ready("signing-key", "rotate", "--force", code=2).stderr


def test_keys_leave_and_come_back_by_file(ready, tmp_path):
    kid = active(ready)["kid"]
    assert json.loads(ready("signing-key", "export", kid).stdout)["kid"] == kid
    assert ready("signing-key", "export", kid, "--pem").stdout.startswith(
        "-----BEGIN PUBLIC KEY-----"
    )
    file = tmp_path / "private.pem"
    exported = ready("signing-key", "export", kid, "--private", str(file))
    assert (exported.stdout, stat.S_IMODE(file.stat().st_mode)) == ("", 0o600)
    assert file.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert (
        "cannot be made"
        in ready("signing-key", "export", kid, "--private", str(file), code=5).stderr
    )
    assert "is there already" in ready("signing-key", "import", str(file), code=5).stderr
    other = tmp_path / "gone.pem"
    assert (
        "there is no signing key"
        in ready("signing-key", "export", "gone", "--private", str(other), code=3).stderr
    )
    assert not other.exists()
    assert "cannot be read" in ready("signing-key", "import", str(other), code=5).stderr


def test_a_key_is_imported_from_stdin(ready):
    imported = ready.json("signing-key", "import", stdin=ED25519)
    assert (imported["alg"], imported["phase"]) == ("EdDSA", "pending")
    again = ready("signing-key", "import", stdin="junk", code=5)
    assert "no private key in PEM" in again.stderr


ED25519 = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIDAQvt0ZsRQJRH7I0G8JtbjB+vMhZ0sIpUZ5IvZ7aHxX\n-----END PRIVATE KEY-----\n"


def test_the_master_key_is_rotated_in_place_or_into_a_file(ready, tmp_path):
    first = (tmp_path / "keys" / "master.key").read_text()
    rotated = ready("master-key", "rotate", "-o", "json")
    assert json.loads(rotated.stdout) == {"path": "keys/master.key", "state": "in force"}
    assert "keys/master.key.old" in rotated.stderr
    assert (
        (tmp_path / "keys" / "master.key").read_text()
        != first
        == (tmp_path / "keys" / "master.key.old").read_text()
    )
    ready("signing-key", "rotate")
    handed = tmp_path / "new.key"
    assert "hand it to the service" in ready("master-key", "rotate", "--to", str(handed)).stderr
    assert "does not open signing key" in ready("signing-key", "rotate", "--now", code=1).stderr
    ready("signing-key", "rotate", "--now", "--force", TOKENSVC_MASTER_KEY_FILE=str(handed))


@pytest.mark.parametrize("alg", ["RS256", "EdDSA"])
def test_an_audience_with_another_algorithm_says_when_that_signs(alg, ready):
    added = ready("audience", "add", "legacy", "--alg", alg, "-o", "json")
    assert json.loads(added.stdout)["alg"] == alg
    assert f"signed with {alg} as soon as every cache has a key of it" in added.stderr
    assert ready.json("audience", "update", "legacy", "--alg", "ES256")["alg"] == "ES256"
    assert ready("audience", "update", "legacy", "--description", "x").stderr == ""
