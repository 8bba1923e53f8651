"""The keyring: our signing keys as facts, their phases as functions of (facts, now), and the plan of rotation.

    standby (pending) -> active -> retiring -> expired          revoked cuts in anywhere and is final

- A key signs from `active_at` until the next key of its algorithm does. The row of a revoked key keeps its place in that order, or an
  older key would come back as the signer.
- One standby is always published, so that the successor is in every cache before it signs.
- A retired key stays published until its last token has expired, plus 120 s for verifiers that grant leeway.

Nothing is stored as a state, so replicas agree without a job that flips anything.

Each algorithm has a keyring of its own. The default one is never without a signer, whatever that costs; another one begins when every
cache has its first key, and until then the default one stands in.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from tokensvc.core.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tokensvc.core.identifier import Kid

LEEWAY: Final = timedelta(
    seconds=120
)  # twice what verifiers grant after `exp`: entries and keys outlive the last token by it

_CLOCK_SKEW: Final = timedelta(seconds=180)

DEFAULT_ALGORITHM: Final = "ES256"

Phase = Literal["pending", "active", "retiring", "expired", "revoked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeyRecord:
    """One signing key as stored. `active_at` None: the standby, not planned yet."""

    kid: Kid
    alg: str
    public_jwk: dict[str, str]
    sealed_private_key: bytes = field(repr=False)
    created_at: datetime
    active_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPolicy:
    """Durations that decide when a key may sign and how long it stays published."""

    jwks_max_age: timedelta
    verifier_cache: timedelta
    margin: timedelta
    token_life: timedelta
    period: timedelta

    @property
    def lead(self) -> timedelta:
        """How long a key is published before it signs: every cache that lacked it has been refreshed by then."""
        return self.jwks_max_age + self.verifier_cache + self.margin

    @property
    def retirement(self) -> timedelta:
        """How long a key stays published after it stopped signing."""
        return self.token_life + LEEWAY


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPlan:
    """What to do now: let `kid` sign from `active_at` on, or without one a new signer; make a new standby.

    `unsafe_for`: how long caches may lack the key that begins to sign; zero in every plan that was not forced.
    """

    kid: Kid | None = None
    active_at: datetime | None = None
    new_signer: bool = False
    new_standby: bool = False
    unsafe_for: timedelta = timedelta()


def superseded_at(record: SigningKeyRecord, records: Iterable[SigningKeyRecord]) -> datetime | None:
    """Return when the next key of the same algorithm takes (or took) over from `record`; None if nothing is planned."""
    order = _order(record)
    return (
        None
        if order is None
        else min((at for at, _ in _orders(records, record.alg) if (at, _) > order), default=None)
    )


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
    end = superseded_at(record, records)
    if end is None or end > now:
        return "active"
    return "retiring" if now < end + policy.retirement else "expired"


def find_active(
    records: Sequence[SigningKeyRecord], alg: str, now: datetime
) -> SigningKeyRecord | None:
    """Return the key that signs at `now`: the last one that began, if it has not been revoked.

    If there is none, the next one if it begins within three minutes: whoever let it begin at once may have had a clock ahead of this one.
    But the first of another algorithm than the default never begins early: it has one that stands in.
    """
    orders = [(order, r) for r in records if r.alg == alg and (order := _order(r)) is not None]
    _, last = max(
        (pair for pair in orders if pair[0][0] <= now),
        key=lambda pair: pair[0],
        default=(None, None),
    )
    if last is not None and last.revoked_at is None:
        return last
    if last is None and alg != DEFAULT_ALGORITHM:
        return None
    soon = [
        pair
        for pair in orders
        if now < pair[0][0] <= now + _CLOCK_SKEW and pair[1].revoked_at is None
    ]
    return min(soon, key=lambda pair: pair[0], default=(None, None))[1]


def find_standby(
    records: Iterable[SigningKeyRecord], alg: str, now: datetime
) -> SigningKeyRecord | None:
    """Return the next signer: the key planned to begin, else the one waiting without a plan."""
    waiting = [
        r
        for r in records
        if r.alg == alg and r.revoked_at is None and (r.active_at is None or r.active_at > now)
    ]
    return min(
        waiting,
        key=lambda r: (r.active_at is None, r.active_at or r.created_at, r.kid),
        default=None,
    )


def published(
    records: Sequence[SigningKeyRecord], policy: RotationPolicy, now: datetime
) -> tuple[SigningKeyRecord, ...]:
    """Return the keys that belong into the JWKS at `now`, oldest first."""
    shown = [
        r for r in records if phase_of(r, records, policy, now) in {"pending", "active", "retiring"}
    ]
    return tuple(sorted(shown, key=lambda r: (r.created_at, r.kid)))


def safe_to_activate_at(
    record: SigningKeyRecord, records: Iterable[SigningKeyRecord], policy: RotationPolicy
) -> datetime:
    """Return when no cache can lack `record` any more.

    A key that was made together with the very first one is safe at once: no JWKS was ever served without it. The very first one is told by
    when it began to sign, since the clock that dates a key may be behind.
    """
    begun = [
        (order, r.created_at)
        for r in records
        if r.alg == DEFAULT_ALGORITHM and (order := _order(r)) is not None
    ]
    first = (
        min(begun)[1] if begun else min((r.created_at for r in records), default=record.created_at)
    )
    return record.created_at if record.created_at == first else record.created_at + policy.lead


def safe_to_remove_at(
    record: SigningKeyRecord, records: Iterable[SigningKeyRecord], policy: RotationPolicy
) -> datetime | None:
    """Return when the last token of `record` is beyond all leeway; None while nothing is planned to replace it."""
    end = superseded_at(record, records)
    return None if end is None else end + policy.retirement


def plan_rotation(
    records: Sequence[SigningKeyRecord],
    alg: str,
    policy: RotationPolicy,
    now: datetime,
    *,
    asked: bool = False,
) -> RotationPlan | None:
    """Return what to do for `alg` at `now`, None if nothing. `asked`: somebody wants a rotation whether or not the period is over.

    The next signer begins when every cache has it, and when the key before the present one has left the JWKS, so that never more
    than three keys are published. Raises ConflictError if a rotation is asked for and one is already planned.
    """
    active, standby = find_active(records, alg, now), find_standby(records, alg, now)
    if active is None:
        return _plan_signer(records, alg, policy, now)
    if standby is None:
        return RotationPlan(new_standby=True)
    if standby.active_at is not None:
        if asked:
            raise ConflictError(
                f"a rotation is already planned: {standby.kid} signs from {standby.active_at:%Y-%m-%d %H:%M:%S} UTC"
            )
        return None
    if not asked and active.active_at is not None and now < active.active_at + policy.period:
        return None
    active_at = max(_soonest(records, alg, now), _safe_from(standby, records, policy, now))
    return RotationPlan(kid=standby.kid, active_at=active_at, new_standby=active_at <= now)


def plan_rotation_now(
    records: Sequence[SigningKeyRecord],
    alg: str,
    policy: RotationPolicy,
    now: datetime,
    *,
    force: bool = False,
) -> RotationPlan:
    """Return how the next signer begins at once, also one that was planned for later.

    Raises ConflictError if that is unsafe and not forced: it says for how many seconds verifiers would refuse good tokens.
    """
    standby = find_standby(records, alg, now)
    if standby is None:
        raise ConflictError(f"there is no {alg} key to take over; see: tokensvc signing-key list")
    safe_at = _safe_from(standby, records, policy, now)
    unsafe_for = max(timedelta(), safe_at - now)
    if unsafe_for and not force:
        seconds = int(unsafe_for.total_seconds()) + 1
        raise ConflictError(
            f"{standby.kid} is safe to sign from {safe_at:%Y-%m-%d %H:%M:%S} UTC: until then verifiers that have not fetched it may refuse "
            f"good tokens for up to {seconds} s. Leave out --now, or add --force"
        )
    others = [r for r in records if r.kid != standby.kid]
    soonest = _soonest(others, alg, now)
    active_at = soonest if standby.active_at is None else min(soonest, standby.active_at)
    return RotationPlan(
        kid=standby.kid,
        active_at=active_at,
        new_standby=find_standby(others, alg, now) is None,
        unsafe_for=unsafe_for,
    )


def revoke_record(
    records: Sequence[SigningKeyRecord], kid: Kid, now: datetime
) -> list[SigningKeyRecord]:
    """Return the records as they are when `kid` is revoked; `plan_rotation` then says what must be done in the same transaction."""
    return [
        replace(r, revoked_at=now) if r.kid == kid and r.revoked_at is None else r for r in records
    ]


def _plan_signer(
    records: Sequence[SigningKeyRecord], alg: str, policy: RotationPolicy, now: datetime
) -> RotationPlan | None:
    """Return how `alg` gets a signer: it has none, never had one, or its last one was revoked."""
    standby = find_standby(records, alg, now)
    soonest = _soonest(records, alg, now)
    has_signed = any(order[0] <= now for order in _orders(records, alg))
    if (
        has_signed
        or alg == DEFAULT_ALGORITHM
        or find_active(records, DEFAULT_ALGORITHM, now) is None
    ):
        if standby is None:
            return RotationPlan(active_at=soonest, new_signer=True, new_standby=True)
        return RotationPlan(
            kid=standby.kid, active_at=soonest, new_standby=True
        )  # no signer at all is worse than a cold cache
    if standby is None:
        return RotationPlan(active_at=now + policy.lead, new_signer=True, new_standby=True)
    if standby.active_at is None:  # imported
        return RotationPlan(
            kid=standby.kid,
            active_at=safe_to_activate_at(standby, records, policy),
            new_standby=True,
        )
    return None


def _soonest(records: Iterable[SigningKeyRecord], alg: str, now: datetime) -> datetime:
    """Return the soonest moment at which another key can begin: now, or just after the last that began by a clock ahead of this one."""
    waiting = {
        r.kid
        for r in records
        if r.revoked_at is None and r.active_at is not None and r.active_at > now
    }
    begun = [at for at, kid in _orders(records, alg) if kid not in waiting]
    return (
        max(now, max(begun, default=now) + timedelta(microseconds=1))
        if any(at >= now for at in begun)
        else now
    )


def _safe_from(
    standby: SigningKeyRecord,
    records: Sequence[SigningKeyRecord],
    policy: RotationPolicy,
    now: datetime,
) -> datetime:
    return max(
        safe_to_activate_at(standby, records, policy), _room_from(records, standby.alg, policy, now)
    )


def _room_from(
    records: Sequence[SigningKeyRecord], alg: str, policy: RotationPolicy, now: datetime
) -> datetime:
    retiring = [
        r for r in records if r.alg == alg and phase_of(r, records, policy, now) == "retiring"
    ]
    return max(
        (end for r in retiring if (end := safe_to_remove_at(r, records, policy)) is not None),
        default=now,
    )


def _order(record: SigningKeyRecord) -> tuple[datetime, Kid] | None:
    """Return the place of a key in the order of signers; None if it never signed: not planned, or revoked before its time came."""
    if record.active_at is None or (
        record.revoked_at is not None and record.revoked_at < record.active_at
    ):
        return None
    return record.active_at, record.kid


def _orders(records: Iterable[SigningKeyRecord], alg: str) -> list[tuple[datetime, Kid]]:
    return [
        order for record in records if record.alg == alg and (order := _order(record)) is not None
    ]
