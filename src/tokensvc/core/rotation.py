"""The plan of rotation: which signing key begins, and when; and whether a new one must be made.

A plan is a function of (records, policy, now). The caller who carries it out makes new keys first,
which takes time, and then plans again under a lock: another process may have been faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from tokensvc.core.algorithm import DEFAULT_ALGORITHM
from tokensvc.core.errors import ConflictError
from tokensvc.core.keyring import (
    find_active,
    find_standby,
    phase_of,
    safe_to_activate_at,
    safe_to_remove_at,
    turns_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tokensvc.core.identifier import Kid
    from tokensvc.core.keyring import RotationPolicy, SigningKeyRecord

_UTC_SECONDS: Final = "%Y-%m-%d %H:%M:%S UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationPlan:
    """What to do now.

    From `active_at` on the key `kid` signs, or a key that is made now (`new_signer`).
    `new_standby`: make a standby as well. `unsafe_for`: how long caches may lack the key that
    begins; zero in every plan that was not forced.
    """

    kid: Kid | None = None
    active_at: datetime | None = None
    new_signer: bool = False
    new_standby: bool = False
    unsafe_for: timedelta = timedelta()


def plan_rotation(
    records: Sequence[SigningKeyRecord],
    alg: str,
    policy: RotationPolicy,
    now: datetime,
    *,
    asked: bool = False,
) -> RotationPlan | None:
    """Return what to do for `alg` at `now`, None if nothing.

    `asked`: somebody wants a rotation even if the period is not over. The next signer begins when
    every cache has it and when the key before the present one has left the JWKS, so that never more
    than three keys are published. Raises ConflictError if a rotation is asked for and one is
    planned already.
    """
    active, standby = find_active(records, alg, now), find_standby(records, alg, now)
    if active is None:
        return _plan_signer(records, alg, policy, now)
    # A key can only take over when it has been in every cache for a while, so one is made first.
    if standby is None:
        return RotationPlan(new_standby=True)
    # What is planned needs nobody to carry it out: the key begins when its time has come.
    if standby.active_at is not None:
        if asked:
            raise ConflictError(
                "a rotation is already planned: "
                f"{standby.kid} signs from {standby.active_at:{_UTC_SECONDS}}"
            )
        return None
    # The period counts from when the present key began, so a rotation by hand starts it anew.
    if not asked and active.active_at is not None and now < active.active_at + policy.period:
        return None
    active_at = max(_soonest_at(records, alg, now), find_ready_at(standby, records, policy, now))
    # A standby that begins later is published meanwhile, and the one after it is made then.
    return RotationPlan(kid=standby.kid, active_at=active_at, new_standby=active_at <= now)


def find_next_rotation_at(
    records: Sequence[SigningKeyRecord], alg: str, policy: RotationPolicy, now: datetime
) -> datetime | None:
    """Return when the next key of `alg` takes over, or when it should have; None without a signer.

    That is the moment for which it is planned, else the end of the period of the present one.
    """
    active, standby = find_active(records, alg, now), find_standby(records, alg, now)
    if active is None or active.active_at is None:
        return None
    if standby is not None and standby.active_at is not None:
        return standby.active_at
    return active.active_at + policy.period


def plan_rotation_now(
    records: Sequence[SigningKeyRecord],
    alg: str,
    policy: RotationPolicy,
    now: datetime,
    *,
    force: bool = False,
) -> RotationPlan:
    """Return how the next signer begins at once, also one that was planned for later.

    Raises ConflictError if there is none. If it is unsafe and not forced, ConflictError says for
    how many seconds verifiers would refuse good tokens.
    """
    standby = find_standby(records, alg, now)
    if standby is None:
        raise ConflictError(f"there is no {alg} key to take over; see: tokensvc signing-key list")
    # What counts is what caches may lack. A JWKS that has one key more for a while harms nobody.
    safe_at = safe_to_activate_at(standby, records, policy)
    unsafe_for = max(timedelta(), safe_at - now)
    # It is for a person to weigh refusals of good tokens against a key that may be stolen.
    if unsafe_for and not force:
        seconds = int(unsafe_for.total_seconds()) + 1
        raise ConflictError(
            f"{standby.kid} is safe to sign from {safe_at:{_UTC_SECONDS}}: until then the slowest "
            "verifier may keep a JWKS without it, and would refuse good tokens for up to "
            f"{seconds} s. Leave out --now, or add --force"
        )
    # This key will sign, so the next standby must be among the others.
    others = [r for r in records if r.kid != standby.kid]
    active_at = _soonest_at(others, alg, now)
    if standby.active_at is not None:
        active_at = min(active_at, standby.active_at)  # never later than it was planned
    return RotationPlan(
        kid=standby.kid,
        active_at=active_at,
        new_standby=find_standby(others, alg, now) is None,
        unsafe_for=unsafe_for,
    )


def _plan_signer(
    records: Sequence[SigningKeyRecord], alg: str, policy: RotationPolicy, now: datetime
) -> RotationPlan | None:
    """Return how `alg` gets a signer: it never had one, or its last one was revoked."""
    standby = find_standby(records, alg, now)
    # The first key of another algorithm waits until every cache has it, and the default algorithm
    # stands in. A later one was published as a standby before, so it need not wait.
    has_signed = any(turn.at <= now for turn in turns_of(records, alg))
    another_stands_in = (
        alg != DEFAULT_ALGORITHM and find_active(records, DEFAULT_ALGORITHM, now) is not None
    )
    if has_signed or not another_stands_in:
        # No signer at all is worse than caches that lack the new one, so it begins at once.
        soonest_at = _soonest_at(records, alg, now)
        if standby is None:
            return RotationPlan(active_at=soonest_at, new_signer=True, new_standby=True)
        return RotationPlan(kid=standby.kid, active_at=soonest_at, new_standby=True)
    # From here on the default algorithm signs meanwhile, so nothing is gained by hurrying.
    if standby is None:
        return RotationPlan(active_at=now + policy.lead, new_signer=True, new_standby=True)
    if standby.active_at is None:  # it was imported
        safe_at = safe_to_activate_at(standby, records, policy)
        return RotationPlan(kid=standby.kid, active_at=safe_at, new_standby=True)
    return None


def _soonest_at(records: Iterable[SigningKeyRecord], alg: str, now: datetime) -> datetime:
    """Return the soonest moment at which another key can begin.

    That is now, unless the last key that began did so this very moment, or later by a clock ahead
    of ours. Then it is just after it, because a key with an earlier turn would not be the signer.
    """
    turns = turns_of(records, alg).items()
    # A key that has a turn and is revoked has begun, whatever our clock says.
    begun = [turn.at for turn, r in turns if turn.at <= now or r.revoked_at is not None]
    last_at = max(begun, default=None)
    return now if last_at is None or last_at < now else last_at + timedelta(microseconds=1)


def find_ready_at(
    standby: SigningKeyRecord,
    records: Sequence[SigningKeyRecord],
    policy: RotationPolicy,
    now: datetime,
) -> datetime:
    """Return from when on a standby can sign: every cache has it, and the JWKS has room.

    The JWKS has room when no key of the algorithm is retiring any more.
    """
    ends = [
        safe_to_remove_at(r, records, policy)
        for r in records
        if r.alg == standby.alg and phase_of(r, records, policy, now) == "retiring"
    ]
    safe_at = safe_to_activate_at(standby, records, policy)
    return max([safe_at, *(end for end in ends if end is not None)])
