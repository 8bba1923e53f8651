"""What survives a restart: keys and denylist, with the age that they really have."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.simulator import START, SimulatedIssuer, reason_of, simulated
from tests.unit.verify.living import live_once

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "snapshot"


@simulated
async def test_a_restarted_verifier_verifies_and_refuses_while_the_issuer_is_away(path):
    issuer = SimulatedIssuer()
    revoked = await live_once(issuer, path)
    good, _ = issuer.issue(exp=START + 7200)
    issuer.go_down()
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        assert loop.time() - began < 1  # it does not wait for an issuer that cannot be reached
        assert (reason_of(verifier, good), reason_of(verifier, revoked)) == (None, "revoked_jti")
        assert verifier.status().ready


@simulated
async def test_a_restart_does_not_make_a_snapshot_younger(path):
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
async def test_keys_that_are_too_old_are_not_used_but_the_denylist_is_kept(path):
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
    issuer.add_revocation("jti", "meanwhile")
    asked = len(issuer.pages_asked)
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        assert issuer.pages_asked[asked:][0] == cursor
        assert None not in issuer.pages_asked[asked:]
        assert issuer.etags_asked[-1] is not None
        assert verifier.status().denylist_entries == 2


@simulated
async def test_the_start_does_not_wait_for_news(path):
    issuer = SimulatedIssuer()
    await live_once(issuer, path)
    await asyncio.sleep(100)
    began = asyncio.get_running_loop().time()
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        assert asyncio.get_running_loop().time() - began < 0.1
        assert verifier.status().denylist_age == 0


@simulated
async def test_a_page_from_before_the_restart_is_still_refused_after_it(path):
    issuer = SimulatedIssuer(waits=False)
    old = issuer.sign_page(replace(issuer.build_page(None), expires_at=START + 100_000))
    await asyncio.sleep(20)
    await live_once(issuer, path)
    issuer.page_lie = lambda _after: old
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        assert verifier.status().denylist_error == "page_replayed"
        assert verifier.status().denylist_entries == 1


@simulated
async def test_an_issuer_restored_from_a_backup_during_the_restart_takes_back_no_revocation(
    path, caplog
):
    issuer = SimulatedIssuer()
    revoked = await live_once(issuer, path)
    issuer.fail_over(0)
    issuer.add_revocation("jti", "other")
    await asyncio.sleep(1)
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        assert reason_of(verifier, revoked) == "revoked_jti"
        assert verifier.status().denylist_resets == 1
        assert "went back" in caplog.text
