"""When a snapshot is written, and what happens if that is not possible."""

from __future__ import annotations

import asyncio
import stat
from typing import TYPE_CHECKING

import pytest
from tests.simulator import SimulatedIssuer, reason_of, simulated
from tests.unit.verify.living import live_once

from tokensvc.verify._snapshot import Snapshot
from tokensvc.verify._snapshot_file import SnapshotFile

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "snapshot"


@simulated
async def test_the_file_is_for_its_owner_alone_and_nothing_else_is_left_behind(path):
    issuer = SimulatedIssuer()
    await live_once(issuer, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


@simulated
async def test_the_file_is_written_every_few_seconds_but_only_if_there_is_news(path):
    issuer = SimulatedIssuer()
    async with issuer.make_verifier(snapshot_path=path):
        written = set()
        for number in range(600):
            issuer.add_revocation("jti", f"j{number}")
            await asyncio.sleep(0.1)
            if path.exists():
                written.add(path.stat().st_mtime_ns)
                assert len(written) <= 13
        assert len(written) > 5
        await asyncio.sleep(5.1)
        before = path.stat()
        await asyncio.sleep(20)
        assert path.stat().st_mtime_ns == before.st_mtime_ns


@simulated
async def test_a_file_that_cannot_be_written_is_a_warning_and_is_tried_again(tmp_path, caplog):
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
async def test_a_path_that_is_a_folder_is_an_error_and_leaves_no_other_file_behind(tmp_path):
    issuer = SimulatedIssuer()
    (tmp_path / "snapshot").mkdir()
    async with issuer.make_verifier(snapshot_path=tmp_path / "snapshot") as verifier:
        await asyncio.sleep(6)
        assert str(verifier.status().snapshot_error).startswith("it cannot be written")
    assert [found.name for found in tmp_path.iterdir()] == ["snapshot"]


@simulated
async def test_a_verifier_that_knows_nothing_writes_nothing(path):
    issuer = SimulatedIssuer()
    issuer.down = True
    async with issuer.make_verifier(snapshot_path=path):
        await asyncio.sleep(10)
    assert not path.exists()


@simulated
async def test_keys_without_a_denylist_are_kept_too(path):
    issuer = SimulatedIssuer()
    issuer.page_lie = lambda _after: ""
    async with issuer.make_verifier(snapshot_path=path):
        await asyncio.sleep(6)
    issuer.go_down()
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        assert (len(verifier.status().kids), verifier.status().denylist_cursor) == (1, None)


@simulated
async def test_a_verifier_that_is_started_again_does_not_go_back_to_its_last_snapshot(path):
    issuer = SimulatedIssuer()
    verifier = issuer.make_verifier(snapshot_path=path)
    async with verifier:
        await asyncio.sleep(1)
    kept = path.read_bytes()
    path.unlink()
    path.mkdir()  # so that the next one cannot be written
    async with verifier:
        issuer.add_revocation("jti", "news")
        await asyncio.sleep(1)
    path.rmdir()
    path.write_bytes(kept)
    issuer.go_down()
    async with verifier:
        assert verifier.status().denylist_entries == 1


def test_an_older_snapshot_that_is_written_late_does_not_replace_a_newer_one(path):
    file = SnapshotFile(path)
    file.save(Snapshot(issuer="newer", jwks=None, feed=None), number=2)
    file.save(Snapshot(issuer="older", jwks=None, feed=None), number=1)
    kept = file.load(issuer="newer", now=0, leeway=0)
    assert kept is not None
