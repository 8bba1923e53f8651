"""Each judgement of the doctor, on facts that are healthy and on facts that are not."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from tests.factories import NOW, seconds

from tokensvc.core.doctor.facts import (
    Answer,
    CertificateFacts,
    DatabaseFacts,
    Disk,
    IdentityFacts,
    MasterKeyFacts,
    MigrationFacts,
    OutsideFacts,
    PrimaryFacts,
    RoleFacts,
    SettingsFacts,
    Slot,
    SlotFacts,
    StandbyFacts,
    WayFacts,
)
from tokensvc.core.doctor.machine import (
    judge_disks,
    judge_identity,
    judge_master_key,
    judge_migrations,
    judge_settings,
)
from tokensvc.core.doctor.postgres import (
    judge_clock,
    judge_primaries,
    judge_role,
    judge_slots,
    judge_standbys,
    judge_version,
    judge_way,
)
from tokensvc.core.doctor.table import examine, examine_outside, refuse_settings
from tokensvc.core.primary import PrimaryProblem
from tokensvc.core.service_identity import Identity

ISSUER = "https://tokens.example"
GIB = 1024**3
DIRECT = WayFacts("direct", None)
SLOT = Slot("one", True, "reserved", 3 * 1024**2)
IDENTITY = Identity(ISSUER, "tsk-")
SETTINGS = SettingsFacts(["TOKENSVC_PORT=8081"], ISSUER, False)


def role(**changes):
    facts = RoleFacts("service", "owner", False, False, (), False, False)
    return facts._replace(**changes)


def key(**changes):
    return MasterKeyFacts(None, "keys/master.key", (), 3)._replace(**changes)


JUDGED = [
    (judge_settings, SETTINGS, "ok", "TOKENSVC_PORT=8081"),
    (judge_settings, SETTINGS._replace(shown=()), "ok", "defaults"),
    (judge_settings, SETTINGS._replace(has_no_address=True), "fault", "TOKENSVC_ISSUER"),
    (judge_version, DatabaseFacts(version="15.8", way=DIRECT), "ok", "Postgres 15.8"),
    (
        judge_version,
        DatabaseFacts(version="14.1", way=DIRECT, unfit=("it is Postgres 14", "Use 15")),
        "fault",
        "it is Postgres 14",
    ),
    (judge_role, role(), "ok", "no more"),
    (judge_role, role(is_embedded=True, is_superuser=True), "ok", "embedded"),
    (judge_role, role(is_superuser=True), "note", "is a superuser"),
    (judge_role, role(is_owner=True, may_change_trail=True), "note", "owns the tables"),
    (judge_role, role(may_change_trail=True), "fault", "grant_service_rights('service')"),
    (judge_role, role(lacks=["account"]), "fault", "not use account as"),
    (judge_role, role(lacks=list("abcdefgh")), "fault", "a, b, c, d, e and 3 more"),
    (judge_way, DIRECT, "ok", "Postgres itself"),
    (judge_way, WayFacts("session pooler", None), "ok", "a session pooler"),
    (judge_way, WayFacts("transaction pooler", "direct"), "ok", "with a direct way past it"),
    (judge_way, WayFacts("transaction pooler", None), "note", "TOKENSVC_DIRECT_DATABASE_URL"),
    (judge_way, WayFacts("direct", "transaction pooler"), "fault", "leads through a pooler"),
    (judge_way, WayFacts("forgetful pooler", None), "fault", "PgBouncer 1.21"),
    (judge_clock, 0.3, "ok", "0.3 s ahead of"),
    (judge_clock, -0.3, "ok", "0.3 s behind"),
    (judge_clock, -3.0, "note", "beyond 5 s"),
    (judge_clock, 6.0, "fault", "chronyc"),
    (judge_primaries, PrimaryFacts(1, None), "ok", "one host"),
    (judge_primaries, PrimaryFacts(3, None), "ok", "one of 3"),
    (
        judge_primaries,
        PrimaryFacts(2, PrimaryProblem(kind="two_primaries", detail="a and b take writes")),
        "fault",
        "a and b take writes",
    ),
    (judge_standbys, StandbyFacts("", 1, 0, True), "ok", "connected standbys: 1"),
    (judge_standbys, StandbyFacts("*", 1, 1, True), "ok", "in step"),
    (judge_standbys, StandbyFacts("two", 1, 0, True), "fault", "is two, and no such standby"),
    (judge_standbys, StandbyFacts("two", 0, 0, True), "fault", "revocation_pending"),
    (judge_standbys, StandbyFacts("two", 1, 0, False), "unknown", "pg_monitor"),
    (judge_slots, SlotFacts(-1, ()), "ok", "none"),
    (judge_slots, SlotFacts(10, [SLOT._replace(is_active=False)]), "ok", "10 MB"),
    (judge_slots, SlotFacts(-1, [SLOT]), "note", "alter system"),
    (judge_slots, SlotFacts(-1, [SLOT, SLOT._replace(is_active=False)]), "fault", "3 MB"),
    (judge_slots, SlotFacts(10, [SLOT._replace(wal_status="lost")]), "fault", "has lost WAL"),
    (judge_disks, [], "unknown", "no folder"),
    (judge_disks, [Disk("/a", 50, 100, 7), Disk("/b", 20, 100, None)], "ok", "20% of"),
    (judge_disks, [Disk("/a", 11 * GIB, 1000 * GIB, 7)], "ok", "1%"),
    (judge_disks, [Disk("/a", 4, 100, 7)], "fault", "du -xh /a"),
    (judge_disks, [Disk("/a", 50, 100, 0)], "fault", "no more files"),
    (judge_disks, [Disk("/a", 40 * GIB, 2000 * GIB, 7), Disk("/b", 3, 100, 7)], "fault", "/b"),
    (judge_migrations, MigrationFacts(None, (), "0013"), "ok", "0013"),
    (judge_migrations, MigrationFacts(None, ["0013_a.sql"], "0012"), "fault", "tokensvc migrate"),
    (judge_migrations, MigrationFacts("0001 was edited", (), None), "fault", "0001 was edited"),
    (judge_master_key, key(), "ok", "all 3"),
    (judge_master_key, key(refusal="it is missing"), "fault", "backup"),
    (judge_master_key, key(refusal="it is missing", sealed=0), "note", "tokensvc init"),
    (judge_master_key, key(unopened=["signing key a", "x", "y"]), "fault", "opens nothing"),
    (judge_master_key, key(unopened=["signing key a"]), "fault", "signing-key revoke a"),
    (judge_master_key, key(unopened=["notice endpoint h"]), "fault", "rotate-secret"),
    (judge_identity, IdentityFacts(IDENTITY, IDENTITY, ""), "ok", ISSUER),
    (judge_identity, IdentityFacts(None, Identity(None, "tsk-"), ""), "ok", "for a trial"),
    (judge_identity, IdentityFacts(IDENTITY, Identity(None, "tsk-"), ""), "note", "belongs to"),
    (judge_identity, IdentityFacts(IDENTITY, Identity("https://b", "tsk-"), ""), "fault", ISSUER),
]  # fmt: skip


@pytest.mark.parametrize(("judge", "facts", "state", "said"), JUDGED)
def test_facts_are_judged_and_whatever_is_amiss_has_its_reason_and_its_way_out(
    judge, facts, state, said
):
    judgement = judge(facts)
    assert judgement.state == state
    assert said in " ".join(judgement)
    assert (judgement.why == "") == (state == "ok" or judgement.why == judgement.way_out == "")
    if state in {"note", "fault"}:
        assert judgement.way_out != ""


def answer(document, status=200, **headers):
    return Answer(status, headers, json.dumps(document).encode())


def page(**changes):
    claims = {"iss": ISSUER, "iat": seconds(NOW), "cursor": "3-tag", **changes}
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
    return Answer(200, {}, b"e30." + payload + b".c2ln")


def outside(**changes):
    healthy = {
        "issuer": ISSUER,
        "now": NOW,
        "published": ["one", "two"],
        "jwks": answer({"keys": [{"kid": "one"}, {"kid": "two"}]}),
        "metadata": answer({"issuer": ISSUER}),
        "feed": page(),
        "certificate": CertificateFacts(NOW + timedelta(days=60), None),
    }
    return OutsideFacts(**healthy | changes)


OUTSIDE = [
    ({}, None, "", ""),
    ({"feed": answer({}, 401)}, None, "", ""),
    ({"issuer": "http://127.0.0.1:8080", "certificate": CertificateFacts(None, None),
      "feed": page(iss="http://127.0.0.1:8080"),
      "metadata": answer({"issuer": "http://127.0.0.1:8080"})}, None, "", ""),
    ({"jwks": "refused"}, "jwks", "fault", "refused"),
    ({"jwks": answer({}, 404)}, "jwks", "fault", "answers 404"),
    ({"jwks": Answer(200, {}, b"<html>")}, "jwks", "fault", "no JSON object"),
    ({"jwks": answer([])}, "jwks", "fault", "no JSON object"),
    ({"jwks": answer({"keys": "none"})}, "jwks", "fault", "lacks the key one"),
    ({"jwks": answer({"keys": [{"kid": "one"}, 7]})}, "jwks", "fault", "lacks the key two"),
    ({"jwks": answer({"keys": [{"kid": ["one"]}]})}, "jwks", "fault", "lacks the key one"),
    ({"jwks": Answer(200, {}, b"[" * 100_000)}, "jwks", "fault", "no JSON object"),
    ({"jwks": answer({"keys": []}), "published": None}, "jwks", "fault", "holds no key"),
    ({"metadata": answer({"issuer": ISSUER + "/"})}, "metadata", "fault", "compare both"),
    ({"metadata": answer({}, 301)}, "metadata", "fault", "answers 301"),
    ({"feed": "refused"}, "feed", "fault", "curl"),
    ({"feed": answer({}, 503)}, "feed", "fault", "answers 503"),
    ({"feed": Answer(200, {}, b"<html>")}, "feed", "fault", "no page"),
    ({"feed": Answer(200, {}, b"a.b.c")}, "feed", "fault", "no page"),
    ({"feed": page(iss="https://other")}, "feed", "fault", "https://other"),
    ({"feed": page(iat=seconds(NOW) - 31)}, "feed", "fault", "31 s old"),
    ({"feed": page()._replace(headers={"age": "5"})}, "feed", "fault", "no-store"),
    ({"certificate": CertificateFacts(None, "expired")}, "certificate", "fault", "expired"),
    ({"certificate": CertificateFacts(NOW + timedelta(days=3), None)}, "certificate", "fault",
     "in 3 days"),
    ({"certificate": CertificateFacts(None, None)}, "certificate", "unknown", "no connection"),
    ({"issuer": "http://tokens.example", "certificate": CertificateFacts(None, None),
      "feed": page(iss="http://tokens.example"),
      "metadata": answer({"issuer": "http://tokens.example"})}, "certificate", "fault", "TLS"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "check", "state", "said"), OUTSIDE)
def test_what_others_see_is_judged(changes, check, state, said):
    found = {finding.check: finding for finding in examine_outside(outside(**changes))}
    amiss = {name: finding for name, finding in found.items() if finding.state != "ok"}
    assert list(amiss) == ([check] if check else [])
    if check:
        assert amiss[check].state == state
        assert said in " ".join(amiss[check])


def test_a_database_that_is_silent_is_one_fault_and_what_it_would_tell_stays_unknown():
    found = list(examine(SETTINGS, [], PrimaryFacts(1, None), "connection refused"))
    assert [finding.what for finding in found if finding.state == "fault"] == ["connection refused"]
    unknown = [finding for finding in found if finding.state == "unknown"]
    assert len(unknown) == len(found) - 3


def test_what_could_not_be_asked_after_a_fault_is_unknown():
    facts = DatabaseFacts(version="15.8", way=DIRECT)
    found = {f.check: f.state for f in examine(SETTINGS, [], PrimaryFacts(1, None), facts)}
    assert found["postgres"] == found["pooler"] == "ok"
    assert found["master key"] == found["clock"] == "unknown"


def test_settings_that_cannot_be_used_are_a_fault():
    assert refuse_settings("TOKENSVC_PORT: wrong").state == "fault"
