"""What of others is shipped with the dashboard: exactly what the lock file names."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import tokensvc.web.dashboard

FOLDER = Path(tokensvc.web.dashboard.__file__).parent
VENDOR = FOLDER / "static" / "vendor"


def test_the_files_of_others_are_those_of_the_lock_file():
    lock = json.loads((VENDOR / "lock.json").read_text())["files"]
    assert {file["file"] for file in lock} == {
        path.name for path in VENDOR.iterdir() if path.suffix in {".js", ".css"}
    }
    for file in lock:
        assert hashlib.sha256((VENDOR / file["file"]).read_bytes()).hexdigest() == file["sha256"]


def test_each_has_its_licence_beside_it():
    names = {path.name.split(".")[0] for path in VENDOR.iterdir() if path.suffix in {".js", ".css"}}
    for name in names:
        assert (VENDOR / f"{name}.LICENSE").stat().st_size > 300
    assert "ISC" in (FOLDER / "templates" / "icons" / "LICENSE").read_text()


def test_our_own_script_stays_short():
    assert len((FOLDER / "static" / "app.js").read_text().splitlines()) < 200
