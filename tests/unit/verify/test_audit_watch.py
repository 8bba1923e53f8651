"""A verifier notices when the issuer's audit trail is changed."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from tests.integration.things import read_payload
from tests.simulator import START, SimulatedIssuer, simulated

from tokensvc.core.token import AUDIT_HEAD
from tokensvc.verify._fake_transport import InMemoryFetcher
from tokensvc.verify._fetch import Fetcher
from tokensvc.verify.testing import FakeIssuer


@pytest.fixture
def issuer():
    issuer = FakeIssuer()
    for _ in range(5):
        issuer.revoke(jti="one")
    return issuer


def problem_of(verifier):
    return verifier.status().audit_head.problem


def test_a_trail_that_grows_is_no_problem(issuer):
    verifier = issuer.verifier()
    issuer.revoke(jti="two")
    head = verifier.status().audit_head
    assert (head.number, head.problem, head.resets) == (6, None, ())


@pytest.mark.parametrize("change", ["cut", "rewrite"])
def test_a_change_is_told_once(issuer, change, caplog):
    told: list[str] = []
    verifier = issuer.verifier(on_audit_problem=told.append)
    getattr(issuer.audit_trail, change)(3)
    with caplog.at_level(logging.ERROR):
        issuer.revoke(jti="two")
        issuer.revoke(jti="three")
    assert told == [verifier.status().audit_head.problem]
    assert len(caplog.records) == 1
    assert verifier.verify(issuer.token()), "tokens are verified as before"


def test_a_hook_that_fails_harms_nothing(issuer, caplog):
    verifier = issuer.verifier(on_audit_problem=lambda problem: 1 / len(problem[:0]))
    issuer.audit_trail.rewrite(3)
    issuer.revoke(jti="two")
    assert verifier.status().audit_head.problem
    assert "on_audit_problem failed" in caplog.text


def test_a_declared_reset_is_kept(issuer):
    verifier = issuer.verifier()
    issuer.audit_trail.cut(3)
    issuer.audit_trail.declare_reset()
    issuer.revoke(jti="two")
    head = verifier.status().audit_head
    assert (head.problem, len(head.resets)) == (None, 1)


@simulated
async def test_what_was_seen_survives_a_restart(tmp_path):
    issuer = SimulatedIssuer()
    for number in range(5):
        issuer.add_revocation("jti", f"one{number}")
    path = tmp_path / "snapshot"
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        await asyncio.sleep(0.1)
        assert problem_of(verifier) is None
    kept = json.loads(path.read_bytes().splitlines()[0])
    assert kept["denylist"]["audit"]["number"] == 5
    issuer.audit_trail.rewrite(4)
    async with issuer.make_verifier(snapshot_path=path) as verifier:
        await asyncio.sleep(0.1)
        assert problem_of(verifier) == "event 4 has another hash than before"


@simulated
async def test_what_no_page_repeats_is_asked_for():
    issuer = SimulatedIssuer()
    issuer.add_revocation("jti", "one")
    async with issuer.make_verifier() as verifier:
        await asyncio.sleep(0.1)
        for _ in range(60):
            issuer.audit_trail.append()
        issuer.add_revocation("jti", "two")
        await asyncio.sleep(5)
        assert issuer.numbers_asked == [1]
        assert problem_of(verifier) is None


@simulated
async def test_an_answer_that_is_none_is_asked_for_again_also_after_a_restart():
    issuer = SimulatedIssuer()
    issuer.add_revocation("jti", "one")
    good = issuer.audit_head
    payload = {"iss": issuer.issuer, "aud": "tokensvc:denylist", "iat": START, "exp": START + 60}
    lies = [{}, payload | {"audit": 3}, payload | {"iss": "https://other.example", **said(issuer)}]

    def lie():
        return issuer.sign(lies[len(issuer.numbers_asked) % len(lies)], typ=AUDIT_HEAD[0])

    setattr(issuer, "audit_head", lie)  # noqa: B010 - a method
    verifier = issuer.make_verifier()
    async with verifier:
        await asyncio.sleep(0.1)
        for _ in range(60):
            issuer.audit_trail.append()
        issuer.add_revocation("jti", "two")
        await asyncio.sleep(600)
        assert len(issuer.numbers_asked) > len(lies)
        assert problem_of(verifier) is None
    asked = len(issuer.numbers_asked)
    setattr(issuer, "audit_head", good)  # noqa: B010
    async with verifier:
        await asyncio.sleep(60)
        assert len(issuer.numbers_asked) > asked
        assert problem_of(verifier) is None


async def test_the_fake_issuer_answers_questions_in_memory_and_over_http(issuer):
    async with InMemoryFetcher(issuer) as fetcher:
        in_memory = await fetcher.fetch_audit_head("", 3)
    async with issuer.serve() as url, Fetcher(timeout=5) as fetcher:
        over_http = await fetcher.fetch_audit_head(f"{url}/v1/audit-heads", 3)
    for text in (in_memory, over_http):
        assert read_payload(text)["audit"]["number"] == 5


def said(issuer):
    return {"audit": read_payload(issuer.audit_head())["audit"]}
