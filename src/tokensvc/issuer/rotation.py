"""Signing keys: make, rotate, list. The plan is pure (`core.keyring`); here it is carried out.

Plan outside, make the key outside (RSA takes time), then lock, look again, plan again: if another process was faster, the second plan
says so and nothing is done twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from tokensvc.core.identifier import Kid
from tokensvc.core.keyring import (
    SigningKeyRecord,
    phase_of,
    plan_rotation,
    safe_to_activate_at,
    safe_to_remove_at,
)
from tokensvc.core.sealing import new_private_key, seal
from tokensvc.issuer.audit import record
from tokensvc.store.feed_head import bump_head, list_heads
from tokensvc.store.issuance import load_longest_life
from tokensvc.store.signing_key import activate_signing_key, insert_signing_key, list_signing_keys, lock_rotation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tokensvc.core.keyring import Phase, RotationPlan
    from tokensvc.core.sealing import MasterKey
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection, Database

    _Draft = tuple[dict[str, str], bytes]

ALGORITHM: Final = "ES256"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSigningKey:
    """A signing key as operators see it."""

    record: SigningKeyRecord
    phase: Phase
    age_seconds: int
    safe_to_activate_at: datetime
    safe_to_remove_at: datetime | None


async def rotate_once(
    database: Database, settings: Settings, master_key: MasterKey, *, actor: str, asked: bool = False
) -> RotationPlan | None:
    """Do what the plan asks for now; return the plan that was carried out, None if there was none or another process did it.

    `asked`: rotate whether or not the period is over; raises ConflictError if a rotation is planned already.
    """
    async with database.connection() as connection:
        first, _ = await _plan(connection, settings, asked=asked)
    if first is None:
        return None
    drafts = [await asyncio.to_thread(_draft, master_key) for _ in range(2)]
    async with database.transaction() as connection:
        await lock_rotation(connection)
        plan, now = await _plan(connection, settings, asked=asked)
        if plan is None or plan.kid != first.kid:
            _log.info("signing_key_rotated_by_another_process")
            return None
        await _carry_out(connection, plan, now, drafts, actor)
        await bump_head(connection, "signing_key")
    return plan


async def list_signing_keys_with_phase(database: Database, settings: Settings) -> list[ListedSigningKey]:
    """Return all signing keys, oldest first, with what may be done with each and when."""
    async with database.connection() as connection:
        records, now = await list_signing_keys(connection), await _now(connection)
        policy = settings.rotation_policy(await load_longest_life(connection))
    return [
        ListedSigningKey(
            record=r,
            phase=phase_of(r, records, policy, now),
            age_seconds=int((now - r.created_at).total_seconds()),
            safe_to_activate_at=safe_to_activate_at(r, records, policy),
            safe_to_remove_at=safe_to_remove_at(r, records, policy),
        )
        for r in records
    ]


async def _plan(connection: Connection, settings: Settings, *, asked: bool) -> tuple[RotationPlan | None, datetime]:
    records, now = await list_signing_keys(connection), await _now(connection)
    policy = settings.rotation_policy(await load_longest_life(connection))
    return plan_rotation(records, ALGORITHM, policy, now, asked=asked), now


async def _carry_out(connection: Connection, plan: RotationPlan, now: datetime, drafts: Sequence[_Draft], actor: str) -> None:
    if plan.kid is not None and plan.active_at is not None:
        await activate_signing_key(connection, plan.kid, plan.active_at)
        await record(connection, actor, "signing_key.rotate", plan.kid, active_at=plan.active_at.isoformat())
        _log.info("signing_key_rotated", kid=plan.kid, active_at=plan.active_at.isoformat())
    if plan.new_signer:
        await _insert(connection, drafts[0], now, active_at=now, actor=actor)
    if plan.new_standby:
        await _insert(connection, drafts[1], now, active_at=None, actor=actor)


async def _insert(connection: Connection, draft: _Draft, now: datetime, *, active_at: datetime | None, actor: str) -> None:
    public_jwk, sealed = draft
    new = SigningKeyRecord(
        kid=Kid(public_jwk["kid"]),
        alg=ALGORITHM,
        public_jwk=public_jwk,
        sealed_private_key=sealed,
        created_at=now,
        active_at=active_at,
        revoked_at=None,
    )
    await insert_signing_key(connection, new)
    await record(connection, actor, "signing_key.create", new.kid, alg=ALGORITHM, standby=active_at is None)
    _log.info("signing_key_created", kid=new.kid, alg=ALGORITHM, standby=active_at is None)


def _draft(master_key: MasterKey) -> _Draft:
    return seal(new_private_key(ALGORITHM), ALGORITHM, master_key)


async def _now(connection: Connection) -> datetime:
    _, now = await list_heads(connection)
    return now
