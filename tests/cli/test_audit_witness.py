"""`tokensvc audit verify --witness`: the table is compared with a follower's snapshot file."""

from __future__ import annotations

import json
from pathlib import Path


def keep(number, hash_, epoch="one"):
    """Write what a follower would keep; return the name of the file."""
    heads = {str(number): hash_[:32]}
    audit = {
        "epoch": epoch,
        "number": number,
        "hash": hash_,
        "seen_at": 0,
        "problem": None,
        "resets": [],
        "heads": heads,
    }
    Path("snapshot").write_text(json.dumps({"denylist": {"audit": audit}}) + "\n")
    return "snapshot"


def test_what_a_follower_has_seen_is_compared(ready):
    declared = ready.json("audit declare-reset --reason test")
    number, epoch = declared["number"], declared["epoch"]
    name = keep(number, declared["hash"], epoch)
    assert ready.json(f"audit verify --witness {name}")["compared"] == 1
    name = keep(number, "00" * 32, epoch)
    found = ready(f"audit verify --witness {name} -o json", code=1)
    assert f'"number": {number}' in found.stdout


def test_a_file_that_is_no_snapshot_is_refused(ready):
    Path("junk").write_text("[]")
    ready("audit verify --witness junk", code=2)
