from __future__ import annotations

from datetime import timedelta

import pytest
from tests.factories import NOW, make_signing_key_record
from tests.unit.core.signing_keys import DAY, POLICY, SECOND, key

from tokensvc.core.keyring import (
    LEEWAY,
    find_active,
    find_standby,
    list_published,
    phase_of,
    revoke_record,
    safe_to_activate_at,
    safe_to_remove_at,
    superseded_at,
)


def test_a_key_is_published_until_every_cache_has_it_and_until_its_last_token_has_expired():
    assert POLICY.lead.total_seconds() == 300 + 330 + 60
    assert POLICY.retirement.total_seconds() == 600 + 120
    assert LEEWAY.total_seconds() == 120


A, B, C = key("a", active=-20 * DAY), key("b", active=-10 * DAY), key("c")

PHASES = {
    "waits without a plan": (key("x"), [], "pending"),
    "begins in a second": (key("x", active=SECOND), [], "pending"),
    "begins now": (key("x", active=0 * SECOND), [], "active"),
    "the only one": (A, [], "active"),
    "next one only waits": (A, [C], "active"),
    "next one begins in a second": (A, [key("x", active=SECOND)], "active"),
    "next one begins now": (A, [key("x", active=0 * SECOND)], "retiring"),
    "one second of retirement left": (A, [key("x", active=SECOND - POLICY.retirement)], "retiring"),
    "retirement over": (A, [key("x", active=-POLICY.retirement)], "expired"),
    "superseded long ago": (A, [B, C], "expired"),
    "last of three": (B, [A, C], "active"),
    "key of another algorithm began": (A, [key("x", active=-DAY, alg="EdDSA")], "active"),
    "successor was revoked": (A, [key("x", active=-DAY, revoked=-DAY / 2)], "expired"),
    "revoked while active": (key("x", active=-DAY, revoked=-SECOND), [], "revoked"),
    "revoked while waiting": (key("x", revoked=-SECOND), [A], "revoked"),
    "began together, the greater kid signs": (
        key("x", active=-DAY),
        [key("y", active=-DAY)],
        "expired",
    ),
    "began together and is the greater": (key("y", active=-DAY), [key("x", active=-DAY)], "active"),
}


@pytest.mark.parametrize(("record", "others", "phase"), PHASES.values(), ids=PHASES)
def test_a_phase_follows_from_the_facts(record, others, phase):
    assert phase_of(record, [record, *others], POLICY, NOW) == phase
    assert phase_of(record, [*others, record], POLICY, NOW) == phase


SIGNERS = {
    "no keys": ([], None),
    "only a standby": ([C], None),
    "the last that began": ([A, B, C], "b"),
    "not one that will begin": ([A, key("x", active=SECOND)], "a"),
    "one that begins now": ([A, key("x", active=0 * SECOND)], "x"),
    "none if the last was revoked: an older key never comes back": (
        [A, key("x", active=-DAY, revoked=-SECOND)],
        None,
    ),
    "an older revoked key does not matter": ([key("x", active=-30 * DAY, revoked=-DAY), B], "b"),
    "only of the algorithm": ([key("x", active=-DAY, alg="EdDSA")], None),
    "the first to begin if none has begun: it was made while the clock was ahead": (
        [key("x", active=DAY), key("y", active=DAY - SECOND)],
        "y",
    ),
    "the next one, early, if the last was revoked": (
        [key("v", active=-DAY, revoked=-SECOND), key("x", active=180 * SECOND)],
        "x",
    ),
    "none if the last was revoked and the next one begins later": (
        [key("v", active=-DAY, revoked=-SECOND), key("x", active=181 * SECOND)],
        None,
    ),
}


@pytest.mark.parametrize(("records", "kid"), SIGNERS.values(), ids=SIGNERS)
def test_one_key_signs_at_a_time(records, kid):
    for order in (records, records[::-1]):
        active = find_active(order, "ES256", NOW)
        assert (active.kid if active else None) == kid


def test_the_first_key_of_another_algorithm_never_begins_early():
    first = key("x", active=SECOND, alg="EdDSA")
    assert find_active([first], "EdDSA", NOW) is None
    assert find_active([first], "EdDSA", NOW + SECOND) == first


STANDBYS = {
    "no keys": ([], None),
    "no key waits": ([A, B], None),
    "a key waits": ([A, C], "c"),
    "a planned key before one without a plan": ([A, C, key("x", active=SECOND)], "x"),
    "the sooner of two planned": ([A, key("x", active=2 * SECOND), key("y", active=SECOND)], "y"),
    "the older of two without a plan": ([A, key("x", made=-DAY), key("y", made=-2 * DAY)], "y"),
    "no revoked key": (
        [A, key("x", revoked=-SECOND), key("y", active=SECOND, revoked=-SECOND)],
        None,
    ),
    "no key of another algorithm": ([A, key("x", alg="EdDSA")], None),
}


@pytest.mark.parametrize(("records", "kid"), STANDBYS.values(), ids=STANDBYS)
def test_the_standby_is_the_planned_key_else_the_oldest_that_waits(records, kid):
    standby = find_standby(records, "ES256", NOW)
    assert (standby.kid if standby else None) == kid


def test_the_jwks_holds_what_waits_signs_and_retires_oldest_first():
    retiring = key("r", made=-60 * DAY, active=-50 * DAY)
    active = key("s", made=-50 * DAY, active=-SECOND)
    standby = key("t", made=-SECOND)
    other = key("e", made=-70 * DAY, active=-50 * DAY, alg="EdDSA")
    revoked = key("v", made=-DAY, revoked=-SECOND)
    gone = key("g", made=-90 * DAY, active=-80 * DAY)
    shown = list_published([standby, active, revoked, retiring, gone, other], POLICY, NOW)
    assert [record.kid for record in shown] == ["e", "r", "s", "t"]


def test_a_key_that_was_made_with_the_very_first_is_safe_at_once_and_any_other_after_the_lead():
    first, sibling, later = key("a", made=-DAY), key("b", made=-DAY), key("c", made=-DAY + SECOND)
    records = [later, sibling, first]
    assert safe_to_activate_at(first, records, POLICY) == first.created_at
    assert safe_to_activate_at(sibling, records, POLICY) == sibling.created_at
    assert safe_to_activate_at(later, records, POLICY) == later.created_at + POLICY.lead
    assert safe_to_activate_at(later, [], POLICY) == later.created_at


def test_the_very_first_key_is_the_one_that_signed_first_whatever_another_clock_has_dated():
    first, dated_before = key("a", made=-DAY, active=-DAY), key("b", made=-DAY - SECOND)
    records = [dated_before, first]
    assert safe_to_activate_at(first, records, POLICY) == first.created_at
    assert (
        safe_to_activate_at(dated_before, records, POLICY) == dated_before.created_at + POLICY.lead
    )


def test_a_key_may_go_120_seconds_after_its_last_token():
    end = key("b", active=-DAY)
    assert superseded_at(A, [A, end]) == NOW - DAY
    assert safe_to_remove_at(A, [A, end], POLICY) == NOW - DAY + timedelta(seconds=720)
    assert superseded_at(C, [A, C]) is None
    assert safe_to_remove_at(A, [A], POLICY) is None
    assert safe_to_remove_at(C, [A, C], POLICY) is None


def test_a_key_revoked_before_it_began_does_not_end_the_one_that_signs():
    signer = key("a", active=-DAY)
    never_began = key("s", made=-DAY, active=-SECOND, revoked=-60 * SECOND)
    assert find_active([signer, never_began], "ES256", NOW) == signer
    assert phase_of(signer, [signer, never_began], POLICY, NOW) == "active"


def test_the_sealed_key_does_not_show_in_the_repr_of_its_record():
    assert "sealed" not in repr(make_signing_key_record("a", sealed_private_key=b"x"))


def test_revoking_changes_one_record_and_only_once():
    before = [A, C, key("v", revoked=-DAY)]
    after = revoke_record(before, A.kid, NOW)
    assert [r.revoked_at for r in after] == [NOW, None, NOW - DAY]
    assert revoke_record(after, A.kid, NOW + DAY) == after
