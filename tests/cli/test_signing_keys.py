from __future__ import annotations

import json
import stat

GONE = "x" * 43
ED25519 = """\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIDAQvt0ZsRQJRH7I0G8JtbjB+vMhZ0sIpUZ5IvZ7aHxX
-----END PRIVATE KEY-----
"""


def find_active(cli):
    return next(row for row in cli.json("signing-key list") if row["phase"] == "active")


def test_before_init_there_are_no_signing_keys(cli):
    assert cli("signing-key list").stderr == "no signing keys yet: tokensvc init\n"


def test_signing_keys_are_listed_and_rotated(ready):
    listed = ready.json("signing-key list")
    assert sorted(row["phase"] for row in listed) == ["active", "pending"]
    wanted = {"kid", "alg", "age_seconds", "safe_to_activate_at", "safe_to_remove_at"}
    assert all(set(row) >= wanted for row in listed)
    (standby,) = [row["kid"] for row in listed if row["phase"] == "pending"]
    assert standby in ready("signing-key list").stdout
    assert ready.json("signing-key rotate")["kid"] == standby
    planned = ready("signing-key rotate")
    assert "published already and signs from then on" in planned.stderr
    assert "a rotation is already planned" in ready("signing-key rotate", code=5).stderr


def test_a_signing_key_is_revoked_and_succeeded(ready):
    kid = find_active(ready)["kid"]
    answer = ready.json("signing-key revoke --yes --reason lost", kid)
    assert answer == {"kid": kid, "state": "revoked", "successor": find_active(ready)["kid"]}
    assert kid in ready("denylist list").stdout
    assert "there is no signing key" in ready("signing-key revoke --yes", GONE, code=3).stderr
    assert ready.json("signing-key revoke --yes", kid)["successor"] is None


def test_a_rotation_at_once_says_what_it_would_break(ready):
    assert ready.json("signing-key rotate --now")["unsafe_for_seconds"] == 0
    assert "--force" in ready("signing-key rotate --now", code=5).stderr
    forced = ready("signing-key rotate --now --force -o json")
    assert json.loads(forced.stdout)["unsafe_for_seconds"] > 600
    assert "forced: the slowest verifier may keep a JWKS without it" in forced.stderr
    assert "--force goes with --now" in ready("signing-key rotate --force", code=2).stderr


def test_keys_leave_and_come_back_by_file(ready, tmp_path):
    kid = find_active(ready)["kid"]
    file, other = tmp_path / "private.pem", tmp_path / "gone.pem"
    assert json.loads(ready("signing-key export", kid).stdout)["kid"] == kid
    public = ready("signing-key export --pem", kid).stdout
    assert public.startswith("-----BEGIN PUBLIC KEY-----")
    exported = ready("signing-key export", kid, "--private", str(file))
    assert (exported.stdout, stat.S_IMODE(file.stat().st_mode)) == ("", 0o600)
    assert file.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    again = ready("signing-key export", kid, "--private", str(file), code=5)
    assert "cannot be made" in again.stderr
    assert "is there already" in ready("signing-key import", str(file), code=5).stderr
    unknown = ready("signing-key export", GONE, "--private", str(other), code=3)
    assert "there is no signing key" in unknown.stderr
    assert not other.exists()
    assert "cannot be read" in ready("signing-key import", str(other), code=5).stderr


def test_a_key_is_imported_from_stdin(ready):
    imported = ready.json("signing-key import", stdin=ED25519)
    assert (imported["alg"], imported["phase"]) == ("EdDSA", "pending")
    again = ready("signing-key import", stdin="junk", code=5)
    assert "no private key in PEM" in again.stderr


def test_the_master_key_is_rotated_in_place_or_into_a_file(ready, tmp_path):
    path, old = tmp_path / "keys" / "master.key", tmp_path / "keys" / "master.key.old"
    first = path.read_text()
    rotated = ready("master-key rotate -o json")
    assert json.loads(rotated.stdout) == {"path": "keys/master.key", "state": "in force"}
    assert "keys/master.key.old" in rotated.stderr
    assert path.read_text() != first == old.read_text()
    ready("signing-key rotate")
    handed = tmp_path / "new.key"
    assert "hand it to the service" in ready("master-key rotate --to", str(handed)).stderr
    assert "does not open signing key" in ready("signing-key rotate --now", code=1).stderr
    ready("signing-key rotate --now --force", TOKENSVC_MASTER_KEY_FILE=str(handed))
