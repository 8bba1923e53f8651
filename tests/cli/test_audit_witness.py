"""`tokensvc audit verify --witness`: the table is compared with a follower's snapshot file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

ISSUER = "http://127.0.0.1:8080"


def keep(number, hash_, epoch="one", issuer=ISSUER):
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
    line = json.dumps({"issuer": issuer, "denylist": {"audit": audit}}) + "\n"
    Path("snapshot").write_text(line + hashlib.sha256(line.encode()).hexdigest() + "\n")
    return "snapshot"


def test_t44_what_a_follower_has_seen_is_compared(ready):
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


def test_a_file_that_is_damaged_or_of_another_issuer_is_refused(ready):
    declared = ready.json("audit declare-reset --reason test")
    name = keep(declared["number"], declared["hash"], declared["epoch"], "https://other.example")
    refused = ready(f"audit verify --witness {name}", code=5)
    assert "is of 'https://other.example', and this service is" in refused.stderr
    name = keep(declared["number"], declared["hash"], declared["epoch"])
    Path(name).write_text(Path(name).read_text().replace('"resets": []', '"resets":  []'))
    assert "damaged" in ready(f"audit verify --witness {name}", code=5).stderr
