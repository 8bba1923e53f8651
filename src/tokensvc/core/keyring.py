"""The keyring: our signing keys as facts, and their phases as functions of (facts, now).

    standby (pending) -> active -> retiring -> expired

A key can be revoked in any phase, and that is final.

- A key signs from `active_at` until the next key of its algorithm begins. A revoked key keeps its
  place in that order: otherwise an older key would become the signer again.
- One standby is always published, so that every cache has the next signer before it signs.
- A retired key stays published until its last token has expired, and for 120 s more, because
  verifiers grant leeway.

No phase is stored, so replicas agree and no job has to change anything when time passes.

Each algorithm has a keyring of its own. The default algorithm always has a signer, even if a cache
may lack it. Another algorithm begins when every cache has its first key. Until then the default
algorithm stands in for it.

What to do next is decided in `rotation`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from tokensvc.core.algorithm import DEFAULT_ALGORITHM

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tokensvc.core.identifier import Kid

# How long revocations and retired keys outlive the last token: twice what verifiers grant.
LEEWAY: Final = timedelta(seconds=120)

# How far ahead of ours the clock may be that said when a key begins.
_CLOCK_SKEW: Final = timedelta(seconds=180)

Phase = Literal["pending", "active", "retiring", "expired", "revoked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeyRecord:
    """A signing key as stored. `active_at` None: it is a standby, and not planned yet."""

    kid: Kid
    alg: str
    public_jwk: dict[str, str]
    sealed_private_key: bytes = field(repr=False)
    created_at: datetime
    active_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPolicy:
    """The durations that decide when a key may sign, and how long it stays published."""

    jwks_max_age: timedelta
    verifier_cache: timedelta
    margin: timedelta
    token_life: timedelta
    period: timedelta

    @property
    def lead(self) -> timedelta:
        """How long a key is published before it signs: by then every cache has been refreshed."""
        return self.jwks_max_age + self.verifier_cache + self.margin

    @property
    def retirement(self) -> timedelta:
        """How long a key stays published after it has stopped signing."""
        return self.token_life + LEEWAY


class Turn(NamedTuple):
    """When a key begins to sign. Of two that begin together, the greater `kid` comes later."""

    at: datetime
    kid: Kid


def turn_of(record: SigningKeyRecord) -> Turn | None:
    """Return the turn of a key, None if it has none.

    It has none if it is not planned yet, or if it was revoked before it began.
    """
    if record.active_at is None:
        return None
    # A key that was revoked after it began keeps its turn, so the key before it stays ended.
    if record.revoked_at is not None and record.revoked_at < record.active_at:
        return None
    return Turn(record.active_at, record.kid)


def turns_of(records: Iterable[SigningKeyRecord], alg: str) -> dict[Turn, SigningKeyRecord]:
    """Return the keys of `alg` that have a turn, by turn."""
    return {turn: r for r in records if r.alg == alg and (turn := turn_of(r)) is not None}


def superseded_at(record: SigningKeyRecord, records: Iterable[SigningKeyRecord]) -> datetime | None:
    """Return when the next key of the algorithm takes over from `record`, or took over.

    None if no key is planned to, or if `record` has no turn itself.
    """
    own = turn_of(record)
    if own is None:
        return None
    # Turns compare as tuples, by moment and then by `kid`, so that all replicas see one order.
    return min((turn.at for turn in turns_of(records, record.alg) if turn > own), default=None)


def phase_of(
    record: SigningKeyRecord,
    records: Sequence[SigningKeyRecord],
    policy: RotationPolicy,
    now: datetime,
) -> Phase:
    """Return the phase of `record` among all `records` at `now`."""
    if record.revoked_at is not None:
        return "revoked"
    if record.active_at is None or record.active_at > now:
        return "pending"
    # Nobody writes down that a key has stopped: the turn of the next one says it.
    end = superseded_at(record, records)
    if end is None or end > now:
        return "active"
    return "retiring" if now < end + policy.retirement else "expired"


def find_active(
    records: Sequence[SigningKeyRecord], alg: str, now: datetime
) -> SigningKeyRecord | None:
    """Return the key that signs at `now`: the last one that began, unless it is revoked.

    If there is none, it is the next key, provided that it begins within three minutes: the clock
    that let it begin at once may be ahead of ours. If no key has ever begun, that clock was as far
    ahead as the first key is. But the first key of an algorithm never begins early where the
    default algorithm can stand in.
    """
    turns = turns_of(records, alg)
    # If the last one that began is revoked, no older key takes its place again.
    last = max((turn for turn in turns if turn.at <= now), default=None)
    if last is not None and turns[last].revoked_at is None:
        return turns[last]
    if last is None and alg != DEFAULT_ALGORITHM:
        return None
    soon = [
        turn
        for turn, r in turns.items()
        if turn.at > now and r.revoked_at is None and (last is None or turn.at <= now + _CLOCK_SKEW)
    ]
    return turns[min(soon)] if soon else None


def find_standby(
    records: Iterable[SigningKeyRecord], alg: str, now: datetime
) -> SigningKeyRecord | None:
    """Return the next signer: the key that is planned first, else the oldest one without a plan."""
    # False sorts before True: first come those with a plan.
    return min(
        (r for r in records if r.alg == alg and _waits(r, now)),
        key=lambda r: (r.active_at is None, r.active_at or r.created_at, r.kid),
        default=None,
    )


def list_published(
    records: Sequence[SigningKeyRecord], policy: RotationPolicy, now: datetime
) -> tuple[SigningKeyRecord, ...]:
    """Return the keys that belong into the JWKS at `now`, oldest first."""
    shown = {"pending", "active", "retiring"}
    found = [r for r in records if phase_of(r, records, policy, now) in shown]
    return tuple(sorted(found, key=lambda r: (r.created_at, r.kid)))


def safe_to_activate_at(
    record: SigningKeyRecord, records: Sequence[SigningKeyRecord], policy: RotationPolicy
) -> datetime:
    """Return from when on every cache has `record`.

    A key that was made together with the very first one is safe at once, because no JWKS was ever
    served without it. The very first is the key that signed first, not the one with the earliest
    `created_at`: the clock that dated another key may have been behind.
    """
    turns = turns_of(records, DEFAULT_ALGORITHM)
    if turns:
        first = turns[min(turns)].created_at
    else:
        first = min((r.created_at for r in records), default=record.created_at)
    # Keys that are made together have the very same `created_at`.
    return record.created_at if record.created_at == first else record.created_at + policy.lead


def safe_to_remove_at(
    record: SigningKeyRecord, records: Iterable[SigningKeyRecord], policy: RotationPolicy
) -> datetime | None:
    """Return when the last token of `record` has expired everywhere, whatever leeway is granted.

    None while no key is planned to take over.
    """
    end = superseded_at(record, records)
    return None if end is None else end + policy.retirement


def revoke_record(
    records: Sequence[SigningKeyRecord], kid: Kid, now: datetime
) -> list[SigningKeyRecord]:
    """Return the records as they are after `kid` is revoked at `now`.

    `plan_rotation` then says what else must be done in the same transaction.
    """
    return [
        replace(r, revoked_at=now) if r.kid == kid and r.revoked_at is None else r for r in records
    ]


def _waits(record: SigningKeyRecord, now: datetime) -> bool:
    """Tell whether a key has not begun yet and still can."""
    return record.revoked_at is None and (record.active_at is None or record.active_at > now)
