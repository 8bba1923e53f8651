"""Which snapshots are read: only whole ones of this issuer that nobody else could have written."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from tests.factories import ISSUER, make_signing_key
from tests.simulator import START, SimulatedIssuer, reason_of, simulated
from tests.unit.verify.living import live_once

from tokensvc.core.denylist.position import Position
from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.denylist.vouched import VouchedDenylist
from tokensvc.core.identifier import Kid
from tokensvc.core.jwks import build_jwks
from tokensvc.verify._snapshot import (
    FeedSnapshot,
    JwksSnapshot,
    Snapshot,
    SnapshotError,
    build_snapshot,
    parse_snapshot,
)
from tokensvc.verify._snapshot_file import SnapshotFile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "snapshot"


def sealed(*values: Any) -> bytes:
    body = b"".join(json.dumps(value).encode() + b"\n" for value in values)
    return body + sha256(body).hexdigest().encode() + b"\n"


def head(**changes: Any) -> dict[str, Any]:
    jwks = {"document": '{"keys":[]}', "etag": None, "max_age": 300, "confirmed_at": START}
    feed = {
        "cursor": "1-a",
        "page_issued_at": START,
        "resets": 0,
        "condemned": [],
        "confirmed_at": START,
    }
    values: dict[str, Any] = {"format": 2, "issuer": ISSUER, "jwks": jwks, "denylist": feed}
    for name, value in changes.items():
        part, _, member = name.partition("__")
        values[part] = {**values[part], member: value} if member else value
    return values


def audit(**changes: Any) -> dict[str, Any]:
    kept = {"epoch": "e", "number": 7, "hash": "00" * 32, "seen_at": START, "problem": None}
    return {**kept, "resets": [], "heads": {}, **changes}


DAMAGE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "damaged"),
    "a web page": (b"<html>\n</html>\n", "damaged"),
    "binary": (b"\xff\x00" * 100, "damaged"),
    "cut off": (sealed(head(), ["k", [{"jti": "j", "exp": START}]])[:-70], "damaged"),
    "a line taken out": (
        b"".join(
            sealed(head(), ["k", [{"jti": "j", "exp": START}]]).splitlines(keepends=True)[::2]
        ),
        "damaged",
    ),
    "another issuer": (sealed(head(issuer="https://other.example")), "another issuer"),
    "another format": (sealed(head(format=1)), "another version"),
    "no object": (sealed([]), "malformed"),
    "nothing in it": (sealed({}), "malformed"),
    "no JSON": (b"x\n" + sha256(b"x\n").hexdigest().encode(), "malformed"),
    "nested too deep": (
        b"[" * 100_000 + b"\n" + sha256(b"[" * 100_000 + b"\n").hexdigest().encode(),
        "malformed",
    ),
    "jwks of another kind": (sealed(head(jwks=[])), "malformed"),
    "document of another kind": (sealed(head(jwks__document=1)), "malformed"),
    "etag of another kind": (sealed(head(jwks__etag=1)), "malformed"),
    "no finite age": (sealed(head(jwks__max_age=float("inf"))), "malformed"),
    "a moment that is text": (sealed(head(denylist__confirmed_at="now")), "malformed"),
    "denylist of another kind": (sealed(head(denylist="x")), "malformed"),
    "cursor malformed": (sealed(head(denylist__cursor="x")), "malformed"),
    "cursor missing": (sealed(head(denylist={})), "malformed"),
    "page moment of another kind": (sealed(head(denylist__page_issued_at=1.5)), "malformed"),
    "entry malformed": (sealed(head(), ["k", [{"jti": "j"}]]), "malformed"),
    "line of another kind": (sealed(head(), 7), "malformed"),
    "entries of another kind": (sealed(head(), ["k", 7]), "malformed"),
    "line without its signer": (sealed(head(), [{"jti": "j", "exp": START}]), "malformed"),
    "signer malformed": (sealed(head(), ["k k", []]), "malformed"),
    "condemned malformed": (sealed(head(denylist__condemned=[1])), "malformed"),
    "huge resets": (sealed(head(denylist__resets=10**400)), "malformed"),
    "huge moment": (sealed(head(denylist__confirmed_at=10**400)), "malformed"),
    "huge moment of a page": (sealed(head(denylist__page_issued_at=10**400)), "malformed"),
    "huge age of keys": (sealed(head(jwks__max_age=10**400)), "malformed"),
    "infinite number of an event": (sealed(head(denylist__audit=audit(number=1e999))), "malformed"),
    "infinite number in a reset": (
        sealed(head(denylist__audit=audit(resets=[["e", 1e999, 1]]))),
        "malformed",
    ),
    "hashes of another kind": (sealed(head(denylist__audit=audit(heads=[]))), "malformed"),
    "nothing but the digest": (sealed(), "empty"),
    "huge end of an entry": (sealed(head(), ["k", [{"jti": "j", "exp": 10**400}]]), "malformed"),
    "number with too many digits": (
        b"1" * 5000 + b"\n" + sha256(b"1" * 5000 + b"\n").hexdigest().encode(),
        "malformed",
    ),
    "keys from the future": (sealed(head(jwks__confirmed_at=START + 31)), "future"),
    "denylist from the future": (sealed(head(denylist__confirmed_at=START + 31)), "future"),
    "without usable keys": (sealed(head()), "no usable key"),
}


@pytest.mark.parametrize(("text", "why"), DAMAGE.values(), ids=DAMAGE)
@simulated
async def test_a_snapshot_that_cannot_be_used_is_a_warning_and_a_cold_start(
    path, caplog, text, why
):
    path.write_bytes(text)
    issuer = SimulatedIssuer()
    issuer.down = True
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        assert why in str(verifier.status().snapshot_error)
        assert "not used" in caplog.text
        assert reason_of(verifier, issuer.issue()[0]) == "no_keys"
        issuer.down = False
        await asyncio.sleep(10)
        assert reason_of(verifier, issuer.issue()[0]) is None
        assert verifier.status().snapshot_error is None


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
@simulated
async def test_a_file_that_others_may_write_is_not_read(path, mode):
    issuer = SimulatedIssuer()
    await live_once(issuer, path)
    path.chmod(mode)
    issuer.go_down()
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        assert verifier.status().snapshot_error == "it must be a file that only this user can write"
        assert verifier.status().kids == ()


@simulated
async def test_a_symbolic_link_is_not_followed(path, tmp_path):
    issuer = SimulatedIssuer()
    await live_once(issuer, path)
    (tmp_path / "link").symlink_to(path)
    issuer.go_down()
    async with issuer.make_verifier(snapshot_path=tmp_path / "link") as verifier:
        assert str(verifier.status().snapshot_error).startswith("it cannot be read")


@simulated
async def test_a_denylist_without_keys_is_used(path):
    path.write_bytes(sealed(head(jwks=None), ["k", [{"jti": "j", "exp": START + 60}]]))
    issuer = SimulatedIssuer()
    issuer.down = True
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        assert (verifier.status().denylist_entries, verifier.status().kids) == (1, ())


def test_a_pipe_is_not_waited_for(path):
    os.mkfifo(path, 0o600)
    with pytest.raises(SnapshotError, match="only this user can write"):
        SnapshotFile(path).load(issuer="i", now=0, leeway=0)


def test_without_a_file_there_is_no_snapshot(path):
    assert SnapshotFile(path).load(issuer="i", now=0, leeway=0) is None


def test_what_is_written_is_read_again():
    denylist = VouchedDenylist()
    jtis = [Revocation("jti", f"jti{number}", START + number) for number in range(2500)]
    denylist.add(jtis, Kid("one"))
    denylist.add(
        [
            Revocation(kind="key", value="key_a", exp=START, upto=START - 1),
            Revocation(kind="kid", value="k", exp=START),
        ],
        Kid("two"),
    )
    jwks = JwksSnapshot(
        document=build_jwks([make_signing_key()[2]]) + b"\xff",
        etag='"e"',
        max_age=300.0,
        confirmed_at=START - 0.5,
    )
    feed = FeedSnapshot(
        position=Position(7, "t"),
        page_issued_at=START,
        resets=2,
        condemned=(Kid("one"),),
        confirmed_at=float(START),
        denylist=denylist,
    )
    lines = list(build_snapshot(Snapshot(issuer="i", jwks=jwks, feed=feed)))
    assert len(lines) == 1 + 3 + 1 + 1
    read = parse_snapshot(b"".join(lines), issuer="i", now=START, leeway=0)
    assert read.feed is not None
    assert (read.jwks, set(read.feed.denylist)) == (jwks, set(denylist))
    assert read.feed.denylist.signers == ("one", "two")
    assert set(read.feed.denylist.list_of(Kid("one"))) == set(jtis)
    assert replace(read.feed, denylist=denylist) == feed
    nothing = Snapshot(issuer="i", jwks=None, feed=None)
    assert (
        parse_snapshot(b"".join(build_snapshot(nothing)), issuer="i", now=START, leeway=0)
        == nothing
    )
