"""What a release is refused for, and what it consists of."""

from __future__ import annotations

import json
import subprocess

import pytest
from deploy import release

CHANGES = (
    "# Changelog\n\n## Unreleased\n\nnew\n\n## 1.2.0 - 2026-01-02\n\n- this\n\n## 1.1.0\n\nold\n"
)


def report(*packages):
    return json.dumps({"dependencies": packages, "fixes": []})


def test_the_changelog_must_know_the_version():
    assert release.find_changes(CHANGES, "1.2.0") == "- this"
    assert release.find_changes(CHANGES.replace("1.2.0", "[1.2.0]"), "1.2.0") == "- this"
    for version in ("1.2", "1.3.0", "2.0"):
        with pytest.raises(release.NoReleaseError, match=f"says nothing of {version}"):
            release.find_changes(CHANGES, version)


def test_an_audit_of_nothing_is_refused_and_so_is_each_weakness():
    good = {"name": "pyjwt", "version": "2.15.0", "vulns": []}
    assert release.count_checked(report(good, good)) == 2
    for packages, said in (
        ([], "has checked no package"),
        ([good, {"name": "x", "skip_reason": "not found"}], "x was not checked"),
        ([good | {"vulns": [{"id": "CVE-1"}, {"id": "CVE-2"}]}], "pyjwt: CVE-1; pyjwt: CVE-2"),
    ):
        with pytest.raises(release.NoReleaseError, match=said):
            release.count_checked(report(*packages))


def test_an_audit_that_reaches_nobody_says_so(tmp_path, monkeypatch):
    program = tmp_path / "pip-audit"
    program.write_text("#!/bin/sh\necho 'ConnectionError: no route' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(release.NoReleaseError, match=r"needs the network: ConnectionError: no rou"):
        release.audit()


def test_the_checksums_are_those_that_sha256sum_checks(tmp_path):
    for name in ("a.whl", "b.tar.gz"):
        (tmp_path / name).write_text(name)
    release.write_checksums(tmp_path)
    release.write_checksums(tmp_path)
    checked = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert checked.stdout == "a.whl: OK\nb.tar.gz: OK\n"
