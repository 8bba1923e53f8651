from __future__ import annotations

import pytest
from tests.factories import NOW
from tests.unit.core.signing_keys import DAY, POLICY, SECOND, key

from tokensvc.core.errors import ConflictError
from tokensvc.core.identifier import Kid
from tokensvc.core.keyring import phase_of, revoke_record
from tokensvc.core.rotation import (
    RotationPlan,
    find_next_rotation_at,
    plan_rotation,
    plan_rotation_now,
)


def plan(records, *, asked=False):
    return plan_rotation(records, "ES256", POLICY, NOW, asked=asked)


RECENT = key("a", made=-DAY, active=-DAY)
OLD = key("a", made=-30 * DAY, active=-30 * DAY)
STANDBY = key("s", made=-DAY + SECOND)
REVOKED = key("a", active=-DAY, revoked=-SECOND)
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
        begin(LEAD - 100 * SECOND, standby=False),
        begin(LEAD - 100 * SECOND, standby=False),
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
    "signer revoked": ([REVOKED, STANDBY], AT_ONCE, AT_ONCE),
    "signer revoked, cold standby": ([REVOKED, key("s", made=-SECOND)], AT_ONCE, AT_ONCE),
    "signer revoked, standby planned": ([REVOKED, key("s", active=DAY)], AT_ONCE, AT_ONCE),
    "all revoked": ([REVOKED, key("s", revoked=-SECOND)], BOTH, BOTH),
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


DEFAULT = key("e", made=-DAY, active=-DAY)  # of the default algorithm: it stands in


def rsa_key(kid, **facts):
    return key(kid, alg="RS256", **facts)


FIRST_KEYS = {
    "none yet: published now, signing when every cache has it": (
        [DEFAULT],
        RotationPlan(active_at=NOW + POLICY.lead, new_signer=True, new_standby=True),
    ),
    "planned and waiting": (
        [DEFAULT, rsa_key("r", made=-SECOND, active=LEAD), rsa_key("s", made=-SECOND)],
        None,
    ),
    "imported: planned, with a standby": (
        [DEFAULT, rsa_key("r", made=-SECOND)],
        RotationPlan(kid=Kid("r"), active_at=NOW - SECOND + POLICY.lead, new_standby=True),
    ),
    "it has signed and was revoked: at once": (
        [
            DEFAULT,
            rsa_key("r", made=-DAY, active=-SECOND, revoked=-SECOND / 2),
            rsa_key("s", made=-SECOND),
        ],
        AT_ONCE,
    ),
    "nothing stands in: at once": ([], BOTH),
    "what stood in is revoked: at once": (
        [key("e", made=-DAY, active=-DAY, revoked=-SECOND)],
        BOTH,
    ),
}


@pytest.mark.parametrize(("records", "expected"), FIRST_KEYS.values(), ids=FIRST_KEYS)
def test_another_algorithm_begins_when_every_cache_has_its_first_key(records, expected):
    assert plan_rotation(records, "RS256", POLICY, NOW) == expected


def test_a_rotation_at_once_happens_only_if_it_is_safe():
    safe = [key("a", made=-DAY, active=-DAY), key("s", made=-LEAD)]
    assert plan_rotation_now(safe, "ES256", POLICY, NOW) == AT_ONCE
    cold = [key("a", made=-DAY, active=-DAY), key("s", made=-100 * SECOND)]
    refusal = r"s is safe to sign from .* UTC: .* refuse good tokens for up to 591 s"
    with pytest.raises(ConflictError, match=refusal):
        plan_rotation_now(cold, "ES256", POLICY, NOW)
    forced = plan_rotation_now(cold, "ES256", POLICY, NOW, force=True)
    assert forced == RotationPlan(
        kid=Kid("s"), active_at=NOW, new_standby=True, unsafe_for=LEAD - 100 * SECOND
    )


def test_a_key_that_is_leaving_the_jwks_does_not_make_a_rotation_at_once_unsafe():
    retiring = key("r", made=-3 * DAY, active=-2 * DAY)
    records = [retiring, key("a", made=-DAY, active=-SECOND), key("s", made=-LEAD)]
    assert phase_of(retiring, records, POLICY, NOW) == "retiring"
    assert plan_rotation_now(records, "ES256", POLICY, NOW) == AT_ONCE


def test_a_rotation_that_was_planned_for_later_may_be_had_at_once():
    standby = key("s", made=-100 * SECOND, active=LEAD - 100 * SECOND)
    planned = [key("a", made=-DAY, active=-DAY), standby]
    forced = plan_rotation_now(planned, "ES256", POLICY, NOW, force=True)
    assert (forced.kid, forced.active_at, forced.new_standby) == ("s", NOW, True)
    planned.append(key("t", made=-SECOND))
    forced = plan_rotation_now(planned, "ES256", POLICY, NOW, force=True)
    assert (forced.kid, forced.new_standby) == ("s", False)


def test_without_a_standby_nothing_can_take_over():
    with pytest.raises(ConflictError, match="there is no ES256 key to take over"):
        plan_rotation_now([RECENT], "ES256", POLICY, NOW, force=True)


def test_when_the_signer_is_revoked_the_standby_begins_at_once():
    revoked = revoke_record([RECENT, STANDBY], RECENT.kid, NOW)
    assert plan(revoked) == AT_ONCE


def test_a_key_begins_just_after_a_revoked_one_that_began_by_a_clock_ahead_of_ours():
    began_ahead = key("a", active=SECOND, revoked=SECOND)
    after = SECOND + SECOND / 1_000_000
    assert plan([began_ahead, STANDBY]) == begin(after, standby=True)


@pytest.mark.parametrize(
    ("records", "due"),
    [
        ([RECENT, STANDBY], POLICY.period - DAY),
        ([OLD], POLICY.period - 30 * DAY),
        ([OLD, key("s", made=-DAY, active=SECOND)], SECOND),
        ([REVOKED, STANDBY], None),
        ([], None),
    ],
    ids=["by the period", "without a standby", "planned", "no signer", "no key"],
)
def test_f16_when_the_next_key_is_due_is_known_whether_it_is_planned_or_not(records, due):
    found = find_next_rotation_at(records, "ES256", POLICY, NOW)
    assert found == (None if due is None else NOW + due)
