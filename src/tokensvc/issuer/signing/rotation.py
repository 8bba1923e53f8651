"""Rotating the signing keys. The plan is pure (`core.rotation`); here it is carried out.

Plan first, make the new keys outside the transaction (RSA takes time), then lock, read the facts
again and plan again. If another process was faster, the second plan says so, and nothing is done
twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tokensvc.core.algorithm import DEFAULT_ALGORITHM
from tokensvc.core.errors import ConflictError
from tokensvc.core.rotation import plan_rotation, plan_rotation_now
from tokensvc.issuer.audit import Trail
from tokensvc.issuer.signing.master_key import find_current
from tokensvc.issuer.signing.new_keys import build_record, insert_new, new_drafts
from tokensvc.logs.logger import get_logger
from tokensvc.store.audience import list_algorithms
from tokensvc.store.feed_head import bump_head, list_heads
from tokensvc.store.issuance import load_longest_life
from tokensvc.store.signing_key import activate_signing_key, list_signing_keys, lock_rotation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tokensvc.core.actor import Actor
    from tokensvc.core.keyring import RotationPolicy, SigningKeyRecord
    from tokensvc.core.rotation import RotationPlan
    from tokensvc.core.sealing import MasterKey
    from tokensvc.issuer.signing.new_keys import Drafts
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection, Database

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Urgency:
    """How urgent a rotation is.

    `asked`: somebody wants it, even if the period is not over. `at_once`: it begins now, if that is
    safe. `force`: it begins now, even if that is unsafe.
    """

    asked: bool = False
    at_once: bool = False
    force: bool = False


NOT_URGENT: Final = Urgency()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyringFacts:
    """The facts that a plan is made of: the signing keys, the policy, and Postgres's clock."""

    records: Sequence[SigningKeyRecord]
    policy: RotationPolicy
    now: datetime

    def plan(self, alg: str, urgency: Urgency = NOT_URGENT) -> RotationPlan | None:
        """Return what to do for one algorithm, None if there is nothing to do.

        Raises ConflictError if somebody wants a rotation that is planned already, or an unsafe one.
        """
        if urgency.at_once:
            return plan_rotation_now(self.records, alg, self.policy, self.now, force=urgency.force)
        return plan_rotation(self.records, alg, self.policy, self.now, asked=urgency.asked)


async def load_facts(connection: Connection, settings: Settings) -> KeyringFacts:
    """Read the facts as they are now. They stay true only while the rotation lock is held."""
    records = await list_signing_keys(connection)
    _, now = await list_heads(connection)
    policy = settings.rotation_policy(await load_longest_life(connection))
    return KeyringFacts(records=records, policy=policy, now=now)


async def rotate_all_once(
    database: Database, settings: Settings, master_key: MasterKey, *, actor: Actor
) -> None:
    """Do what the plan asks for now, for the default algorithm and each that an audience wants."""
    async with database.connection() as connection:
        wanted = await list_algorithms(connection)
    # The default one first: it stands in for the others until their keys may sign.
    for alg in dict.fromkeys([DEFAULT_ALGORITHM, *wanted]):
        await rotate_once(database, settings, master_key, alg=alg, actor=actor)


async def rotate_once(
    database: Database,
    settings: Settings,
    master_key: MasterKey,
    *,
    actor: Actor,
    alg: str = DEFAULT_ALGORITHM,
    urgency: Urgency = NOT_URGENT,
) -> RotationPlan | None:
    """Do what the plan asks for now, for one algorithm.

    Returns the plan that was carried out, None if there was none or another process did it.
    Raises ConflictError if somebody wants a rotation that is planned already, or an unsafe one.
    """
    async with database.connection() as connection:
        first = (await load_facts(connection, settings)).plan(alg, urgency)
    if first is None:
        return None
    drafts = await new_drafts(alg)
    async with database.transaction() as connection:
        await lock_rotation(connection)
        facts = await load_facts(connection, settings)
        try:
            plan = facts.plan(alg, urgency)
        except ConflictError:
            # Another process has planned it meanwhile, so what was asked for is done.
            plan = None
        # The turn of another key has come: what was wanted was done while this waited for the lock.
        if plan is None or plan.kid != first.kid:
            _log.info("signing_key_rotated_by_another_process", alg=alg)
            return None
        current = find_current(settings, master_key, facts.records)
        trail = Trail(actor)
        await carry_out(connection, plan, drafts, trail, now=facts.now, master_key=current)
        await trail.append(connection)
        await bump_head(connection, "signing_key")
    return plan


async def carry_out(
    connection: Connection,
    plan: RotationPlan,
    drafts: Drafts,
    trail: Trail,
    *,
    now: datetime,
    master_key: MasterKey,
) -> None:
    """Write what a plan asks for. The rotation lock must be held."""
    if plan.kid is not None and plan.active_at is not None:
        await activate_signing_key(connection, plan.kid, plan.active_at)
        detail = {
            "active_at": plan.active_at.isoformat(),
            "unsafe_for_seconds": int(plan.unsafe_for.total_seconds()),
        }
        trail.note("signing-keys.rotate", plan.kid, **detail)
        _log.info("signing_key_rotated", kid=plan.kid, **detail)
    if plan.new_signer:
        signer = build_record(
            drafts.signer, drafts.alg, master_key, created_at=now, active_at=plan.active_at
        )
        await insert_new(connection, signer, trail)
    if plan.new_standby:
        standby = build_record(
            drafts.standby, drafts.alg, master_key, created_at=now, active_at=None
        )
        await insert_new(connection, standby, trail)
