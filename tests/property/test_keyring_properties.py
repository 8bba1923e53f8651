"""The keyring under any sequence of ticks, rotations, revocations and time."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.factories import NOW, make_rotation_policy, make_signing_key_record

from tokensvc.core.errors import ConflictError
from tokensvc.core.keyring import LEEWAY, find_active, find_standby, plan_rotation, published

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.core.identifier import Kid
    from tokensvc.core.keyring import SigningKeyRecord

POLICY = make_rotation_policy()
ALG = "ES256"
waits = st.one_of(st.integers(1, 120), st.integers(300, 2000), st.integers(86_400, 40 * 86_400))
step = st.one_of(
    st.tuples(st.just("wait"), waits),
    st.tuples(st.just("rotate"), st.just(0)),
    st.tuples(st.sampled_from(["revoke signer", "revoke standby"]), st.just(0)),
)


class Keyring:
    def __init__(self) -> None:
        self.now, self.made = NOW, 0
        self.records: list[SigningKeyRecord] = []
        self.signed: dict[Kid, list[datetime]] = {}
        self.emergencies: set[Kid] = set()
        self.tick()

    def _add(self, active_at) -> Kid:
        self.made += 1
        record = make_signing_key_record(f"k{self.made:03}", created_at=self.now, active_at=active_at)
        self.records.append(record)
        return record.kid

    def _change(self, kid, **changes) -> None:
        self.records = [dataclasses.replace(r, **changes) if r.kid == kid else r for r in self.records]

    def tick(self, *, asked: bool = False) -> None:
        no_signer = find_active(self.records, ALG, self.now) is None
        try:
            plan = plan_rotation(self.records, ALG, POLICY, self.now, asked=asked)
        except ConflictError:
            return
        if plan is None:
            return
        if plan.kid is not None:
            self._change(plan.kid, active_at=plan.active_at)
            if no_signer:
                self.emergencies.add(plan.kid)
        if plan.new_signer:
            self.emergencies.add(self._add(self.now))
        if plan.new_standby:
            self._add(None)

    def revoke(self, which: str) -> None:
        find = find_active if which == "revoke signer" else find_standby
        record = find(self.records, ALG, self.now)
        if record is not None:
            self._change(record.kid, revoked_at=self.now)
        self.tick()  # in the same transaction
        self.tick()

    def check(self) -> None:
        shown = {record.kid for record in published(self.records, POLICY, self.now)}
        signer = find_active(self.records, ALG, self.now)
        assert signer is not None
        assert signer.kid in shown
        assert len(shown) <= 3
        if signer.kid not in self.emergencies:
            first = min(record.created_at for record in self.records)
            assert signer.created_at == first or self.now >= signer.created_at + POLICY.lead
        self.signed.setdefault(signer.kid, []).append(self.now)
        revoked = {record.kid for record in self.records if record.revoked_at is not None}
        for kid, moments in self.signed.items():
            if moments[-1] + POLICY.token_life + LEEWAY > self.now:
                assert kid in shown | revoked


@settings(max_examples=150, deadline=None)
@given(st.lists(step, max_size=25))
def test_there_is_always_a_published_signer_that_was_announced_in_time(walk):
    keyring = Keyring()
    keyring.check()
    for name, seconds in walk:
        if name == "wait":
            keyring.now += timedelta(seconds=seconds)
            keyring.tick()
        elif name == "rotate":
            keyring.tick(asked=True)
        else:
            keyring.revoke(name)
        keyring.tick()
        keyring.check()
