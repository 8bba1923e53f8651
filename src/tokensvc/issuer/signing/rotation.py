"""Signing keys: rotate, revoke, list. The plan is pure (`core.rotation`); here it is carried out.

Plan outside, make the key outside (RSA takes time), then lock, look again, plan again: if another process was faster, the second plan
says so and nothing is done twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import structlog

from tokensvc.core.errors import ConflictError
from tokensvc.core.identifier import Kid
from tokensvc.core.keyring import (
    DEFAULT_ALGORITHM,
    LEEWAY,
    SigningKeyRecord,
    phase_of,
    revoke_record,
    safe_to_activate_at,
    safe_to_remove_at,
)
from tokensvc.core.private_key import new_private_key
from tokensvc.core.rotation import plan_rotation, plan_rotation_now
from tokensvc.core.sealing import seal, unseal
from tokensvc.issuer.audit import record
from tokensvc.issuer.signing.master_key import opens_any, read_master_key
from tokensvc.store.audience import list_algorithms
from tokensvc.store.denylist import append_revocation, is_revoked
from tokensvc.store.feed_head import bump_head, list_heads
from tokensvc.store.issuance import load_longest_life
from tokensvc.store.signing_key import (
    activate_signing_key,
    insert_signing_key,
    list_signing_keys,
    load_signing_key,
    lock_rotation,
    revoke_signing_key,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tokensvc.core.keyring import Phase, RotationPolicy
    from tokensvc.core.rotation import RotationPlan
    from tokensvc.core.sealing import MasterKey
    from tokensvc.core.token import PrivateKey
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection, Database

_KID_DENIED_FOR: Final = timedelta(
    days=1
)  # at least: a thief's tokens end when he likes, but no cache keeps a key that long

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSigningKey:
    """A signing key as operators see it."""

    record: SigningKeyRecord
    phase: Phase
    age_seconds: int
    safe_to_activate_at: datetime
    safe_to_remove_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Urgency:
    """How much somebody wants a rotation: `asked` whether or not the period is over; `at_once`; `force` also if that is unsafe."""

    asked: bool = False
    at_once: bool = False
    force: bool = False


_BY_ITSELF: Final = Urgency()


async def rotate_all_once(
    database: Database, settings: Settings, master_key: MasterKey, *, actor: str
) -> None:
    """Do what the plan asks for now, for the default algorithm and for each that an audience wants."""
    async with database.connection() as connection:
        wanted = await list_algorithms(connection)
    for alg in dict.fromkeys([DEFAULT_ALGORITHM, *wanted]):
        await rotate_once(database, settings, master_key, alg=alg, actor=actor)


async def rotate_once(
    database: Database,
    settings: Settings,
    master_key: MasterKey,
    *,
    actor: str,
    alg: str = DEFAULT_ALGORITHM,
    urgency: Urgency = _BY_ITSELF,
) -> RotationPlan | None:
    """Do what the plan asks for now; return the plan that was carried out, None if there was none or another process did it.

    Raises ConflictError if somebody wants a rotation that is planned already, or one that is unsafe.
    """
    async with database.connection() as connection:
        first = (await _look(connection, settings)).plan(alg, urgency)
    if first is None:
        return None
    drafts = [await asyncio.to_thread(new_private_key, alg) for _ in range(2)]
    async with database.transaction() as connection:
        await lock_rotation(connection)
        seen = await _look(connection, settings)
        try:
            plan = seen.plan(alg, urgency)
        except ConflictError:
            plan = None
        if plan is None or plan.kid != first.kid:
            _log.info("signing_key_rotated_by_another_process", alg=alg)
            return None
        await carry_out(
            connection,
            plan,
            seen,
            drafts,
            actor=actor,
            master_key=find_current(settings, master_key, seen.records),
            alg=alg,
        )
        await bump_head(connection, "signing_key")
    return plan


async def revoke_signing_key_now(
    database: Database,
    settings: Settings,
    master_key: MasterKey,
    kid: str,
    *,
    actor: str,
    reason: str = "",
    unless_revoked: bool = False,
) -> RotationPlan | None:
    """Withdraw trust in a signing key: in one transaction it is revoked, its successor signs, and the `kid` is denied.

    Every token that it ever signed is refused by followers within a second; plain libraries trust it until their cache ends. Returns what
    took its place, None if nothing had to. Repeating it adds an audit row, or nothing `unless_revoked`. Raises NotFoundError.
    """
    async with database.connection() as connection:
        alg = (await load_signing_key(connection, kid)).alg
    drafts = [await asyncio.to_thread(new_private_key, alg) for _ in range(2)]
    async with database.transaction() as connection:
        await lock_rotation(connection)
        seen = await _look(connection, settings)
        found = await load_signing_key(connection, kid)
        revoked = await is_revoked(connection, "kid", found.kid)
        if revoked and unless_revoked:
            return None
        master_key = find_current(settings, master_key, seen.records)
        await revoke_signing_key(connection, found.kid, seen.now)
        await record(connection, actor, "signing_key.revoke", found.kid, reason=reason)
        if not revoked:
            expires_at = seen.now + max(_KID_DENIED_FOR, seen.policy.token_life + LEEWAY)
            await append_revocation(
                connection,
                "signing_key_revoked",
                found.kid,
                watermark=None,
                expires_at=expires_at,
                healed=unless_revoked,
            )
        after = Seen(
            records=revoke_record(seen.records, found.kid, seen.now),
            policy=seen.policy,
            now=seen.now,
        )
        plan = after.plan(alg, _BY_ITSELF)
        if plan is not None:
            await carry_out(
                connection, plan, after, drafts, actor=actor, master_key=master_key, alg=alg
            )
        await bump_head(connection, "signing_key")
    _log.warning("signing_key_revoked", kid=found.kid)
    return plan


async def list_signing_keys_with_phase(
    database: Database, settings: Settings
) -> list[ListedSigningKey]:
    """Return all signing keys, oldest first, with what may be done with each and when."""
    async with database.connection() as connection:
        seen = await _look(connection, settings)
    return [
        ListedSigningKey(
            record=r,
            phase=phase_of(r, seen.records, seen.policy, seen.now),
            age_seconds=int((seen.now - r.created_at).total_seconds()),
            safe_to_activate_at=safe_to_activate_at(r, seen.records, seen.policy),
            safe_to_remove_at=safe_to_remove_at(r, seen.records, seen.policy),
        )
        for r in seen.records
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The facts that a plan is made of."""

    records: list[SigningKeyRecord]
    policy: RotationPolicy
    now: datetime

    def plan(self, alg: str, urgency: Urgency) -> RotationPlan | None:
        """Return what to do."""
        if urgency.at_once:
            return plan_rotation_now(self.records, alg, self.policy, self.now, force=urgency.force)
        return plan_rotation(self.records, alg, self.policy, self.now, asked=urgency.asked)


async def _look(connection: Connection, settings: Settings) -> Seen:
    records = await list_signing_keys(connection)
    _, now = await list_heads(connection)
    return Seen(
        records=records,
        policy=settings.rotation_policy(await load_longest_life(connection)),
        now=now,
    )


def find_current(
    settings: Settings, master_key: MasterKey, records: Sequence[SigningKeyRecord]
) -> MasterKey:
    """Return the master key that opens the keys as they are now.

    It is this one, or the one that has taken its place since it was read. Ask while the rotation
    lock is held, or a key might be sealed under one that is gone. Raises StartRefusedError.
    """
    usable = [r for r in records if r.revoked_at is None]
    if usable and not opens_any(master_key, usable):
        master_key = read_master_key(settings)
        if not opens_any(master_key, usable):
            unseal(usable[0], master_key)
    return master_key


async def carry_out(
    connection: Connection,
    plan: RotationPlan,
    seen: Seen,
    drafts: Sequence[PrivateKey],
    *,
    actor: str,
    master_key: MasterKey,
    alg: str,
) -> None:
    """Write what a plan asks for. The rotation lock must be held."""

    def draft(number: int, active_at: datetime | None) -> SigningKeyRecord:
        return build_record(
            drafts[number], alg, master_key, created_at=seen.now, active_at=active_at
        )

    if plan.kid is not None and plan.active_at is not None:
        await activate_signing_key(connection, plan.kid, plan.active_at)
        facts = {
            "active_at": plan.active_at.isoformat(),
            "unsafe_for_seconds": int(plan.unsafe_for.total_seconds()),
        }
        await record(connection, actor, "signing_key.rotate", plan.kid, **facts)
        _log.info("signing_key_rotated", kid=plan.kid, **facts)
    if plan.new_signer:
        await insert_new(connection, draft(0, plan.active_at), actor=actor)
    if plan.new_standby:
        await insert_new(connection, draft(1, None), actor=actor)


def build_record(
    private_key: PrivateKey,
    alg: str,
    master_key: MasterKey,
    *,
    created_at: datetime,
    active_at: datetime | None,
) -> SigningKeyRecord:
    """Return the row of a new key, sealed."""
    public_jwk, sealed = seal(private_key, alg, master_key)
    return SigningKeyRecord(
        kid=Kid(public_jwk["kid"]),
        alg=alg,
        public_jwk=public_jwk,
        sealed_private_key=sealed,
        created_at=created_at,
        active_at=active_at,
        revoked_at=None,
    )


async def insert_new(
    connection: Connection, new: SigningKeyRecord, *, actor: str, how: str = "create"
) -> None:
    """Store a new key, with its audit row. Raises ConflictError if it is there already."""
    await insert_signing_key(connection, new)
    await record(
        connection, actor, f"signing_key.{how}", new.kid, alg=new.alg, standby=new.active_at is None
    )
    _log.info("signing_key_added", how=how, kid=new.kid, alg=new.alg, standby=new.active_at is None)
