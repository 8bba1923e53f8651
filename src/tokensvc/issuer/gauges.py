"""The metrics that tell how a process stands, and that nothing else sets when it happens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tokensvc import __version__
from tokensvc.core.algorithm import DEFAULT_ALGORITHM
from tokensvc.core.keyring import find_active, phase_of
from tokensvc.core.rotation import find_next_rotation_at
from tokensvc.issuer.metrics import (
    AUDIT_HEAD,
    BUILD_INFO,
    COPY_AGE_SECONDS,
    DENYLIST_ENTRIES,
    NEXT_ROTATION_AT,
    NOTIFICATION_QUEUE_RATIO,
    POOL_CONNECTIONS,
    SIGNING_KEY_AGE_SECONDS,
    SIGNING_KEYS,
)
from tokensvc.store.server_facts import load_notification_queue

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from tokensvc.core.keyring import Phase, RotationPolicy, SigningKeyRecord
    from tokensvc.issuer.mirror.mirror import Mirror
    from tokensvc.store.pool import Database

_PHASES: Final[Sequence[Phase]] = ("pending", "active", "retiring")


@dataclass(frozen=True, slots=True)
class Gauges:
    """Sets the gauges of a process of the service."""

    database: Database
    mirror: Mirror

    async def set_once(self) -> None:
        """Set what the process knows. Raises UnavailableError before the first confirmation."""
        mirror = self.mirror
        BUILD_INFO.labels(__version__).set(1)
        COPY_AGE_SECONDS.set(mirror.postgres_clock.age_seconds)
        DENYLIST_ENTRIES.set(len(mirror.denylist.log))
        claim = mirror.audit_heads.claim
        if claim is not None:  # the last number stays while the trail cannot be read
            AUDIT_HEAD.set(claim.head.number)
        used, most = self.database.used_connections, self.database.most_connections
        POOL_CONNECTIONS.labels("in_use").set(used)
        POOL_CONNECTIONS.labels("free").set(most - used)
        policy = mirror.signers.policy
        if policy is not None:
            wanted = {DEFAULT_ALGORITHM, *(one.alg for one in mirror.audiences.values())}
            _set_signing_keys(mirror.signers.records, wanted, policy, mirror.postgres_clock.now)

    async def ask_for_queue_once(self) -> None:
        """Ask Postgres how full its queue of notifications is. Raises UnavailableError."""
        async with self.database.connection() as connection:
            NOTIFICATION_QUEUE_RATIO.set(await load_notification_queue(connection))


def _set_signing_keys(
    records: Sequence[SigningKeyRecord],
    wanted: Collection[str],
    policy: RotationPolicy,
    now: datetime,
) -> None:
    """Set what is told of the keys. Only algorithms that are `wanted` are rotated."""
    for alg in sorted({record.alg for record in records}):
        phases = [phase_of(record, records, policy, now) for record in records if record.alg == alg]
        for phase in _PHASES:
            SIGNING_KEYS.labels(alg, phase).set(phases.count(phase))
        active = find_active(records, alg, now)
        next_at = find_next_rotation_at(records, alg, policy, now) if alg in wanted else None
        begun_at = now if active is None or active.active_at is None else active.active_at
        SIGNING_KEY_AGE_SECONDS.labels(alg).set(max(0.0, (now - begun_at).total_seconds()))
        NEXT_ROTATION_AT.labels(alg).set(math.inf if next_at is None else next_at.timestamp())
