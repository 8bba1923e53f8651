"""What survives a restart: keys and denylist on disk, with the age that they have, and never anything that others could have written."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from tests.factories import make_signing_key
from tests.simulator import START, SimulatedIssuer, reason_of, simulated

from tokensvc.core.denylist.position import Position
from tokensvc.core.denylist.revocation import Revocation
from tokensvc.core.denylist.revoked import Denylist
from tokensvc.core.jwks import build_jwks
from tokensvc.verify.snapshot import (
    FeedSnapshot,
    JwksSnapshot,
    Snapshot,
    SnapshotError,
    build_snapshot,
    load_snapshot,
    parse_snapshot,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "snapshot"


async def live_once(issuer: SimulatedIssuer, path: Path) -> str:
    """A verifier lives for a moment; returns a token that it refused as revoked."""
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        token, claims = issuer.issue(exp=START + 7200)
        issuer.deny("jti", claims.jti, life=7320)
        await asyncio.sleep(1)
        assert reason_of(verifier, token) == "revoked_jti"
    return token


# --- a restart while the issuer is away ------------------------------------------------------------------------------------


@simulated
async def test_a_restarted_verifier_verifies_and_refuses_while_the_issuer_is_away(path):
    issuer = SimulatedIssuer()
    revoked = await live_once(issuer, path)
    good, _ = issuer.issue(exp=START + 7200)
    issuer.go_down()
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        assert loop.time() - began < 1  # it does not wait for an issuer that refuses connections
        assert (reason_of(verifier, good), reason_of(verifier, revoked)) == (None, "revoked_jti")
        assert verifier.status().ready


@simulated
async def test_a_snapshot_gets_no_younger_by_a_restart(path):
    issuer = SimulatedIssuer()
    revoked = await live_once(issuer, path)
    good, _ = issuer.issue(exp=START + 7200)
    issuer.go_down()
    await asyncio.sleep(50)
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        assert 50 <= verifier.status().denylist_age <= 52
        assert reason_of(verifier, good) is None
    await asyncio.sleep(10)
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        assert reason_of(verifier, good) == "denylist_stale"
    async with issuer.make_verifier(snapshot_path=path, when_stale="accept") as verifier:
        assert (reason_of(verifier, good), reason_of(verifier, revoked)) == (None, "revoked_jti")


@simulated
async def test_keys_that_are_too_old_are_not_used_and_the_denylist_is_kept(path):
    issuer = SimulatedIssuer(max_age=300)
    revoked = await live_once(issuer, path)
    issuer.go_down()
    await asyncio.sleep(3901)
    async with issuer.make_verifier(snapshot_path=path, when_stale="accept") as verifier:
        assert verifier.status().kids == ()
        assert verifier.status().denylist_entries == 1
        assert reason_of(verifier, revoked) == "no_keys"
        issuer.down = False
        await asyncio.sleep(3)
        assert reason_of(verifier, revoked) == "revoked_jti"


@simulated
async def test_after_a_restart_only_what_is_new_is_asked_for(path):
    issuer = SimulatedIssuer()
    await live_once(issuer, path)
    cursor = str(issuer.log.head)
    issuer.deny("jti", "meanwhile")
    asked = len(issuer.pages_asked)
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        assert issuer.pages_asked[asked:][0] == cursor
        assert None not in issuer.pages_asked[asked:]
        assert issuer.etags_asked[-1] is not None
        assert verifier.status().denylist_entries == 2


@simulated
async def test_after_a_restart_without_news_the_start_does_not_wait_for_any(path):
    issuer = SimulatedIssuer()
    await live_once(issuer, path)
    await asyncio.sleep(100)
    began = asyncio.get_running_loop().time()
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        assert asyncio.get_running_loop().time() - began < 0.1
        assert verifier.status().denylist_age == 0


@simulated
async def test_a_page_from_before_the_restart_is_still_refused_after_it(path):
    issuer = SimulatedIssuer(wait_is_kept=False)
    old = issuer.sign_page(replace(issuer.build_page(None), expires_at=START + 100_000))
    await asyncio.sleep(20)
    await live_once(issuer, path)
    issuer.page_lie = lambda _after: old
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        assert verifier.status().denylist_error == "page_replayed"
        assert verifier.status().denylist_entries == 1


@simulated
async def test_an_issuer_restored_from_a_backup_during_the_restart_loses_no_revocation(
    path, caplog
):
    issuer = SimulatedIssuer()
    revoked = await live_once(issuer, path)
    issuer.fail_over(0)
    issuer.deny("jti", "other")
    await asyncio.sleep(1)
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        assert reason_of(verifier, revoked) == "revoked_jti"
        assert verifier.status().denylist_resets == 1
        assert "went back" in caplog.text


# --- writing ---------------------------------------------------------------------------------------------------------------


@simulated
async def test_the_file_is_for_its_owner_alone_and_nothing_else_is_left_behind(path):
    issuer = SimulatedIssuer()
    await live_once(issuer, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


@simulated
async def test_news_is_written_every_few_seconds_and_nothing_without_news(path):
    issuer = SimulatedIssuer()
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        written = set()
        for number in range(600):
            issuer.deny("jti", f"j{number}")
            await asyncio.sleep(0.1)
            if path.exists():
                written.add(path.stat().st_mtime_ns)
                assert len(written) <= 13
        assert len(written) > 5
        await asyncio.sleep(5.1)
        before, known = path.stat(), verifier._keeper
        assert known is not None
        await known.save_once()
        assert path.stat().st_mtime_ns == before.st_mtime_ns


@simulated
async def test_a_file_that_cannot_be_written_is_a_warning_and_is_got_over(tmp_path, caplog):
    issuer = SimulatedIssuer()
    folder = tmp_path / "later"
    async with issuer.make_verifier(snapshot_path=str(folder / "snapshot")) as verifier:
        await asyncio.sleep(6)
        assert verifier.status().snapshot_error == "it cannot be written: No such file or directory"
        assert "not written" in caplog.text
        assert reason_of(verifier, issuer.issue()[0]) is None
        folder.mkdir()
        await asyncio.sleep(6)
        assert verifier.status().snapshot_error is None
    assert (folder / "snapshot").exists()


@simulated
async def test_a_place_that_is_taken_by_a_folder_leaves_nothing_behind(tmp_path):
    issuer = SimulatedIssuer()
    (tmp_path / "snapshot").mkdir()
    async with issuer.make_verifier(snapshot_path=tmp_path / "snapshot") as verifier:
        await asyncio.sleep(6)
        assert str(verifier.status().snapshot_error).startswith("it cannot be written")
    assert [found.name for found in tmp_path.iterdir()] == ["snapshot"]


@simulated
async def test_a_verifier_that_never_heard_anything_writes_nothing(path):
    issuer = SimulatedIssuer()
    issuer.down = True
    async with issuer.make_verifier(snapshot_path=path):
        await asyncio.sleep(10)
    assert not path.exists()


@simulated
async def test_what_is_known_in_part_is_kept_in_part(path):
    issuer = SimulatedIssuer()
    issuer.page_lie = lambda _after: ""
    async with issuer.make_verifier(snapshot_path=path):
        await asyncio.sleep(6)
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        assert (len(verifier.status().kids), verifier.status().denylist_cursor) == (1, None)


@simulated
async def test_a_verifier_that_is_started_again_does_not_fall_back_to_what_it_has_kept(path):
    issuer = SimulatedIssuer()
    verifier = issuer.make_verifier(snapshot_path=path)
    async with verifier:
        await asyncio.sleep(1)
    kept = path.read_bytes()
    path.unlink()
    path.mkdir()  # so that the next one cannot be written
    async with verifier:
        issuer.deny("jti", "news")
        await asyncio.sleep(1)
    path.rmdir()
    path.write_bytes(kept)
    issuer.go_down()
    async with verifier:
        assert verifier.status().denylist_entries == 1


@simulated
async def test_a_write_that_was_overtaken_is_left_out(path):
    issuer = SimulatedIssuer()
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        keeper = verifier._keeper
        assert keeper is not None
        await keeper.save_once()
        newest = path.read_bytes()
        keeper._save(0, Snapshot(issuer="http://127.0.0.1:8080", jwks=None, feed=None))
        assert path.read_bytes() == newest


# --- reading ---------------------------------------------------------------------------------------------------------------


def sealed(*values: Any) -> bytes:
    body = b"".join(json.dumps(value).encode() + b"\n" for value in values)
    return body + sha256(body).hexdigest().encode() + b"\n"


def head(**changes: Any) -> dict[str, Any]:
    jwks = {"document": '{"keys":[]}', "etag": None, "max_age": 300, "confirmed_at": START}
    feed = {"cursor": "1-a", "page_issued_at": START, "resets": 0, "confirmed_at": START}
    values = {"format": 1, "issuer": "http://127.0.0.1:8080", "jwks": jwks, "denylist": feed}
    for name, value in changes.items():
        part, _, member = name.partition("__")
        values[part] = {**values[part], member: value} if member else value  # type: ignore[dict-item]
    return values


DAMAGE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "damaged"),
    "a web page": (b"<html>\n</html>\n", "damaged"),
    "binary": (b"\xff\x00" * 100, "damaged"),
    "cut off": (sealed(head(), [{"jti": "j", "exp": START}])[:-70], "damaged"),
    "a line taken out": (
        b"".join(sealed(head(), [{"jti": "j", "exp": START}]).splitlines(keepends=True)[::2]),
        "damaged",
    ),
    "another issuer": (sealed(head(issuer="https://other.example")), "another issuer"),
    "another format": (sealed(head(format=2)), "another version"),
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
    "entry malformed": (sealed(head(), [{"jti": "j"}]), "malformed"),
    "entries of another kind": (sealed(head(), 7), "malformed"),
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
async def test_a_link_is_not_followed(path, tmp_path):
    issuer = SimulatedIssuer()
    await live_once(issuer, path)
    (tmp_path / "link").symlink_to(path)
    issuer.go_down()
    async with issuer.make_verifier(snapshot_path=tmp_path / "link") as verifier:
        assert str(verifier.status().snapshot_error).startswith("it cannot be read")


def test_a_pipe_is_not_waited_for(path):
    os.mkfifo(path, 0o600)
    with pytest.raises(SnapshotError, match="only this user can write"):
        load_snapshot(path, issuer="i", now=0, leeway=0)


def test_a_file_that_is_not_there_is_no_snapshot(path):
    assert load_snapshot(path, issuer="i", now=0, leeway=0) is None


def test_what_is_written_is_read_again():
    denylist = Denylist()
    denylist.add(
        Revocation(kind="jti", value=f"jti{number}", exp=START + number) for number in range(2500)
    )
    denylist.add(
        [
            Revocation(kind="key", value="key_a", exp=START, upto=START - 1),
            Revocation(kind="kid", value="k", exp=START),
        ]
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
        confirmed_at=float(START),
        denylist=denylist,
    )
    lines = list(build_snapshot(Snapshot(issuer="i", jwks=jwks, feed=feed)))
    assert len(lines) == 1 + 3 + 1
    read = parse_snapshot(b"".join(lines), issuer="i", now=START, leeway=0)
    assert read.feed is not None
    assert (read.jwks, set(read.feed.denylist)) == (jwks, set(denylist))
    assert (read.feed.position, read.feed.page_issued_at, read.feed.resets) == (
        feed.position,
        START,
        2,
    )
    nothing = Snapshot(issuer="i", jwks=None, feed=None)
    assert (
        parse_snapshot(b"".join(build_snapshot(nothing)), issuer="i", now=START, leeway=0)
        == nothing
    )
