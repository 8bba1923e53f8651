from __future__ import annotations

from datetime import timedelta

import pytest
from tests.factories import NOW, make_rotation_policy, make_signing_key_record

from tokensvc.core.errors import ConflictError
from tokensvc.core.identifier import Kid
from tokensvc.core.keyring import (
    LEEWAY,
    RotationPlan,
    find_active,
    find_standby,
    phase_of,
    plan_rotation,
    plan_rotation_now,
    published,
    revoke_record,
    safe_to_activate_at,
    safe_to_remove_at,
    superseded_at,
)

POLICY = make_rotation_policy()  # lead 690 s, retirement 720 s, period 30 days
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
LONG_AGO = NOW - 100 * DAY


def key(kid, *, made=-100 * DAY, active=None, revoked=None, alg="ES256"):
    """A record whose times are given as distances from NOW."""
    return make_signing_key_record(
        kid,
        alg=alg,
        created_at=NOW + made,
        active_at=None if active is None else NOW + active,
        revoked_at=None if revoked is None else NOW + revoked,
    )


def test_the_lead_is_all_that_can_hide_a_key_and_retirement_outlives_the_last_token():
    assert timedelta(seconds=300 + 330 + 60) == POLICY.lead
    assert POLICY.retirement == timedelta(seconds=600) + LEEWAY
    assert timedelta(seconds=120) == LEEWAY


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
}


@pytest.mark.parametrize(("records", "kid"), SIGNERS.values(), ids=SIGNERS)
def test_one_key_signs_at_a_time(records, kid):
    for order in (records, records[::-1]):
        active = find_active(order, "ES256", NOW)
        assert (active.kid if active else None) == kid


@pytest.mark.parametrize(
    ("records", "kid"),
    [
        ([], None),
        ([A, B], None),
        ([A, C], "c"),
        ([A, C, key("x", active=SECOND)], "x"),
        ([A, key("x", active=2 * SECOND), key("y", active=SECOND)], "y"),
        ([A, key("x", made=-DAY), key("y", made=-2 * DAY)], "y"),
        ([A, key("x", revoked=-SECOND), key("y", active=SECOND, revoked=-SECOND)], None),
        ([A, key("x", alg="EdDSA")], None),
    ],
    ids=[
        "none",
        "none waits",
        "waits",
        "planned first",
        "sooner first",
        "older first",
        "not revoked",
        "other algorithm",
    ],
)
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
    shown = published([standby, active, revoked, retiring, gone, other], POLICY, NOW)
    assert [record.kid for record in shown] == ["e", "r", "s", "t"]


def test_a_key_of_the_first_hour_is_safe_at_once_and_any_other_after_the_lead():
    first, sibling, later = key("a", made=-DAY), key("b", made=-DAY), key("c", made=-DAY + SECOND)
    records = [later, sibling, first]
    assert safe_to_activate_at(first, records, POLICY) == first.created_at
    assert safe_to_activate_at(sibling, records, POLICY) == sibling.created_at
    assert safe_to_activate_at(later, records, POLICY) == later.created_at + POLICY.lead
    assert safe_to_activate_at(later, [], POLICY) == later.created_at


def test_a_key_may_go_120_seconds_after_its_last_token():
    end = key("b", active=-DAY)
    assert superseded_at(A, [A, end]) == NOW - DAY
    assert safe_to_remove_at(A, [A, end], POLICY) == NOW - DAY + timedelta(seconds=720)
    assert superseded_at(C, [A, C]) is None
    assert safe_to_remove_at(A, [A], POLICY) is None
    assert safe_to_remove_at(C, [A, C], POLICY) is None


def plan(records, *, asked=False):
    return plan_rotation(records, "ES256", POLICY, NOW, asked=asked)


RECENT = key("a", made=-DAY, active=-DAY)
OLD = key("a", made=-30 * DAY, active=-30 * DAY)
STANDBY = key("s", made=-DAY + SECOND)
LEAD, ROOM = POLICY.lead, POLICY.retirement
BOTH = RotationPlan(active_at=NOW, new_signer=True, new_standby=True)
MAKE_STANDBY = RotationPlan(new_standby=True)


def begin(at, *, standby, kid="s"):
    return RotationPlan(kid=kid, active_at=NOW + at, new_standby=standby)


AT_ONCE = begin(0 * SECOND, standby=True)
PLANS = {
    "first start": ([], BOTH, BOTH),
    "other algorithm only": ([key("e", active=-DAY, alg="EdDSA")], BOTH, BOTH),
    "standby missing": ([RECENT], MAKE_STANDBY, MAKE_STANDBY),
    "standby revoked": ([RECENT, key("s", revoked=-SECOND)], MAKE_STANDBY, MAKE_STANDBY),
    "period not over": ([RECENT, STANDBY], None, AT_ONCE),
    "one second before the period is over": (
        [key("a", active=SECOND - 30 * DAY), STANDBY],
        None,
        AT_ONCE,
    ),
    "period over": ([OLD, STANDBY], AT_ONCE, AT_ONCE),
    "standby too fresh": (
        [OLD, key("s", made=-100 * SECOND)],
        *[begin(LEAD - 100 * SECOND, standby=False)] * 2,
    ),
    "standby just old enough": ([OLD, key("s", made=-LEAD)], AT_ONCE, AT_ONCE),
    "standby as old as the first key": (
        [key("a", made=-SECOND, active=-SECOND), key("s", made=-SECOND)],
        None,
        AT_ONCE,
    ),
    "room only when the last one has gone": (
        [key("o", active=-50 * DAY), key("a", active=-100 * SECOND), STANDBY],
        None,
        begin(ROOM - 100 * SECOND, standby=False),
    ),
    "planned already": ([OLD, key("s", made=-DAY, active=SECOND)], None, ConflictError),
    "signer revoked": ([key("a", active=-DAY, revoked=-SECOND), STANDBY], AT_ONCE, AT_ONCE),
    "signer revoked, cold standby": (
        [key("a", active=-DAY, revoked=-SECOND), key("s", made=-SECOND)],
        AT_ONCE,
        AT_ONCE,
    ),
    "signer revoked, standby planned": (
        [key("a", active=-DAY, revoked=-SECOND), key("s", active=DAY)],
        AT_ONCE,
        AT_ONCE,
    ),
    "all revoked": (
        [key("a", active=-DAY, revoked=-SECOND), key("s", revoked=-SECOND)],
        BOTH,
        BOTH,
    ),
    "two stand by": ([OLD, key("s", made=-3 * DAY), key("t", made=-2 * DAY)], AT_ONCE, AT_ONCE),
}


@pytest.mark.parametrize(("records", "by_itself", "when_asked"), PLANS.values(), ids=PLANS)
def test_a_plan_follows_from_the_facts(records, by_itself, when_asked):
    assert plan(records) == by_itself
    if when_asked is ConflictError:
        with pytest.raises(ConflictError, match="a rotation is already planned: s signs from"):
            plan(records, asked=True)
    else:
        assert plan(records, asked=True) == when_asked


def test_a_key_revoked_before_it_began_does_not_end_the_one_that_signs():
    signer, never_began = (
        key("a", active=-DAY),
        key("s", made=-DAY, active=-SECOND, revoked=-60 * SECOND),
    )
    active = find_active([signer, never_began], "ES256", NOW)
    assert active is not None
    assert active.kid == "a"
    assert phase_of(signer, [signer, never_began], POLICY, NOW) == "active"


def test_the_sealed_key_does_not_show():
    assert "sealed" not in repr(make_signing_key_record("a", sealed_private_key=b"x"))


OTHER = key("e", made=-DAY, active=-DAY)  # of the default algorithm: it stands in


def second(kid, **facts):
    return key(kid, alg="RS256", **facts)


FIRST_KEYS = {
    "none yet: published now, signing when every cache has it": (
        [OTHER],
        RotationPlan(active_at=NOW + POLICY.lead, new_signer=True, new_standby=True),
    ),
    "planned and waiting": (
        [OTHER, second("r", made=-SECOND, active=LEAD), second("s", made=-SECOND)],
        None,
    ),
    "imported: planned, with a standby": (
        [OTHER, second("r", made=-SECOND)],
        RotationPlan(kid=Kid("r"), active_at=NOW - SECOND + POLICY.lead, new_standby=True),
    ),
    "it has signed and was revoked: at once": (
        [
            OTHER,
            second("r", made=-DAY, active=-SECOND, revoked=-SECOND / 2),
            second("s", made=-SECOND),
        ],
        AT_ONCE,
    ),
    "nothing stands in: at once": ([], BOTH),
    "what stood in is revoked: at once": (
        [key("e", made=-DAY, active=-DAY, revoked=-SECOND)],
        BOTH,
    ),
}


@pytest.mark.parametrize(("records", "plan_"), FIRST_KEYS.values(), ids=FIRST_KEYS)
def test_another_algorithm_begins_when_every_cache_has_its_first_key(records, plan_):
    assert plan_rotation(records, "RS256", POLICY, NOW) == plan_


def test_a_rotation_at_once_happens_only_if_it_is_safe():
    safe = [key("a", made=-DAY, active=-DAY), key("s", made=-LEAD)]
    assert plan_rotation_now(safe, "ES256", POLICY, NOW) == AT_ONCE
    cold = [key("a", made=-DAY, active=-DAY), key("s", made=-100 * SECOND)]
    with pytest.raises(
        ConflictError, match=r"s is safe to sign from .* UTC: .* refuse good tokens for up to 591 s"
    ):
        plan_rotation_now(cold, "ES256", POLICY, NOW)
    forced = plan_rotation_now(cold, "ES256", POLICY, NOW, force=True)
    assert forced == RotationPlan(
        kid=Kid("s"), active_at=NOW, new_standby=True, unsafe_for=LEAD - 100 * SECOND
    )


def test_a_rotation_that_was_planned_for_later_may_be_had_at_once():
    planned = [
        key("a", made=-DAY, active=-DAY),
        key("s", made=-100 * SECOND, active=LEAD - 100 * SECOND),
    ]
    forced = plan_rotation_now(planned, "ES256", POLICY, NOW, force=True)
    assert (forced.kid, forced.active_at, forced.new_standby) == ("s", NOW, True)
    with_another = plan_rotation_now(
        [*planned, key("t", made=-SECOND)], "ES256", POLICY, NOW, force=True
    )
    assert (with_another.kid, with_another.new_standby) == ("s", False)


def test_without_a_standby_nothing_can_take_over():
    with pytest.raises(ConflictError, match="there is no ES256 key to take over"):
        plan_rotation_now([RECENT], "ES256", POLICY, NOW, force=True)


def test_revoking_changes_one_record_and_only_once():
    before = [RECENT, STANDBY, key("v", revoked=-DAY)]
    after = revoke_record(before, RECENT.kid, NOW)
    assert [r.revoked_at for r in after] == [NOW, None, NOW - DAY]
    assert revoke_record(after, RECENT.kid, NOW + DAY) == after
    assert plan_rotation(after, "ES256", POLICY, NOW) == AT_ONCE
