"""The keyrings of two algorithms, under any order of ticks, rotations, revocations and imports.

The clocks of the replicas disagree by up to a minute.
"""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.factories import NOW, make_rotation_policy, make_signing_key_record

from tokensvc.core.algorithm import DEFAULT_ALGORITHM
from tokensvc.core.errors import ConflictError
from tokensvc.core.keyring import (
    LEEWAY,
    find_active,
    find_standby,
    list_published,
    revoke_record,
)
from tokensvc.core.rotation import plan_rotation, plan_rotation_now

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.core.identifier import Kid
    from tokensvc.core.keyring import SigningKeyRecord
    from tokensvc.core.rotation import RotationPlan

POLICY = make_rotation_policy()
ALGORITHMS = (DEFAULT_ALGORITHM, "RS256")
SKEW = timedelta(seconds=60)
algs = st.sampled_from(ALGORITHMS)
skews = st.integers(-60, 60).map(lambda seconds: timedelta(seconds=seconds))
waits = st.one_of(st.integers(0, 120), st.integers(300, 2000), st.integers(86_400, 40 * 86_400))
step = st.one_of(
    st.tuples(st.just("wait"), waits, skews),
    st.tuples(st.sampled_from(["rotate", "rotate now", "import"]), algs, skews),
    st.tuples(st.sampled_from(["revoke signer", "revoke standby", "revoke eldest"]), algs, skews),
    st.tuples(st.just("force"), algs, skews),
)


class Keyring:
    """What the database holds. Every act comes from a clock that is off by up to a minute."""

    def __init__(self) -> None:
        self.now, self.made = NOW, 0
        self.records: list[SigningKeyRecord] = []
        self.signed: dict[Kid, datetime] = {}
        self.revoked: set[Kid] = set()
        self.unsafe: set[Kid] = set()  # began in an emergency, or by force
        self.crowded_until = NOW
        self.tick(timedelta())

    def _add(self, alg: str, created_at: datetime, active_at: datetime | None) -> Kid:
        self.made += 1
        record = make_signing_key_record(
            f"k{self.made:03}", alg=alg, created_at=created_at, active_at=active_at
        )
        self.records.append(record)
        return record.kid

    def _carry_out(
        self, plan: RotationPlan | None, alg: str, now: datetime, *, emergency: bool
    ) -> None:
        if plan is None:
            return
        if plan.kid is not None:
            self.records = [
                dataclasses.replace(r, active_at=plan.active_at) if r.kid == plan.kid else r
                for r in self.records
            ]
        begins = plan.kid
        if plan.new_signer:
            begins = self._add(alg, now, plan.active_at)
        if begins is not None and (emergency or plan.unsafe_for):
            self.unsafe.add(begins)
        if plan.new_standby:
            self._add(alg, now, None)

    def tick(self, skew: timedelta, *, asked: str | None = None) -> None:
        now = self.now + skew
        for alg in ALGORITHMS:
            emergency = find_active(self.records, alg, now) is None
            try:
                plan = plan_rotation(self.records, alg, POLICY, now, asked=asked == alg)
            except ConflictError:
                plan = None
            self._carry_out(plan, alg, now, emergency=emergency)

    def rotate_now(self, alg: str, skew: timedelta, *, force: bool) -> None:
        try:
            plan = plan_rotation_now(self.records, alg, POLICY, self.now + skew, force=force)
        except ConflictError:
            return
        self._carry_out(plan, alg, self.now + skew, emergency=False)
        self.crowded_until = self.now + skew + POLICY.retirement + SKEW

    def import_(self, alg: str, skew: timedelta) -> None:
        now = self.now + skew
        waiting = find_standby(self.records, alg, now)
        if waiting is not None and waiting.active_at is not None:
            return
        self._add(alg, now, None)
        if waiting is not None:
            self.records = revoke_record(self.records, waiting.kid, now)

    def revoke(self, which: str, alg: str, skew: timedelta) -> None:
        now = self.now + skew
        eldest = next((r for r in self.records if r.alg == alg and r.revoked_at is None), None)
        found = {
            "revoke signer": find_active(self.records, alg, now),
            "revoke standby": find_standby(self.records, alg, now),
        }
        record = found.get(which, eldest)
        if record is None:
            return
        # Not tried here: a key has begun, and is revoked by a clock that says it has not. Then
        # there may be no signer until that clock has caught up.
        if record.active_at is not None and record.active_at <= self.now + SKEW:
            now = max(now, record.active_at)
        self.records = revoke_record(self.records, record.kid, now)
        self.revoked.add(record.kid)
        # In the same transaction something takes its place: a new signer, or one that was planned
        # to begin within three minutes.
        plan = plan_rotation(self.records, alg, POLICY, now)
        self._carry_out(plan, alg, now, emergency=True)
        stands_in = find_active(self.records, alg, now)
        if stands_in is not None and stands_in.active_at is not None and stands_in.active_at > now:
            self.unsafe.add(stands_in.kid)

    def sign(self, skew: timedelta) -> None:
        """Each replica signs by its own clock."""
        now = self.now + skew
        default = find_active(self.records, DEFAULT_ALGORITHM, now)
        for alg in ALGORITHMS:
            signer = find_active(self.records, alg, now) or default
            if signer is not None:
                self.signed[signer.kid] = max(now, self.signed.get(signer.kid, now))

    def check(self, skew: timedelta) -> None:
        now = self.now + skew
        shown = {record.kid for record in list_published(self.records, POLICY, now)}
        signer = find_active(self.records, DEFAULT_ALGORITHM, now)
        assert signer is not None, "there is always a signer"
        assert signer.kid in shown, "and it is published"
        # A key that has gone by the clock of some replica is not counted.
        later = now + 2 * SKEW
        still_shown = {record.kid for record in list_published(self.records, POLICY, later)}
        for alg in ALGORITHMS:
            of_alg = [r for r in self.records if r.alg == alg and r.kid in shown & still_shown]
            assert len(of_alg) <= 3 or now < self.crowded_until
            active = find_active(self.records, alg, now)
            if active is not None and active.kid not in self.unsafe:
                was_first = active.created_at == NOW
                announced = now >= active.created_at + POLICY.lead - SKEW
                assert was_first or announced, "it was published in time"
        for kid, moment in self.signed.items():
            # Two clocks that differ by 120 s use up the leeway, but not the life of a token.
            if moment + POLICY.token_life + LEEWAY - 2 * SKEW > now:
                assert kid in shown | self.revoked, "the key of a live token is known"


@settings(max_examples=200)
@given(st.lists(step, max_size=30))
def test_a_published_key_always_signs_and_the_key_of_every_live_token_is_published_or_revoked(walk):
    keyring = Keyring()
    for name, what, skew in walk:
        if name == "wait":
            keyring.now += timedelta(seconds=what)
        elif name == "rotate":
            keyring.tick(skew, asked=what)
        elif name in {"rotate now", "force"}:
            keyring.rotate_now(what, skew, force=name == "force")
        elif name == "import":
            keyring.import_(what, skew)
        else:
            keyring.revoke(name, what, skew)
        keyring.tick(skew)
        for other in (skew, -skew, timedelta()):
            keyring.sign(other)
            keyring.check(other)
