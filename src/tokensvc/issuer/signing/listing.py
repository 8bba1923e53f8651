"""The signing keys as operators see them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tokensvc.core.issued_tokens import IssuedTokens
from tokensvc.core.keyring import (
    phase_of,
    safe_to_activate_at,
    safe_to_remove_at,
    superseded_at,
    turn_of,
)
from tokensvc.core.rotation import find_ready_at
from tokensvc.issuer.signing.rotation import load_facts
from tokensvc.store.usage import list_usage_of_all

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tokensvc.core.keyring import Phase, SigningKeyRecord
    from tokensvc.issuer.signing.rotation import KeyringFacts
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database

_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSigningKey:
    """A signing key, its phase, and when it is safe to activate and to remove it.

    `active_seconds`: for how long it has been meant to sign, negative if it has not begun.
    `ready_at`: when a key that has not begun can sign at the soonest. `live_tokens`: about how many
    live tokens it has signed.
    """

    record: SigningKeyRecord
    phase: Phase
    age_seconds: int
    active_seconds: float
    superseded_at: datetime | None
    safe_to_activate_at: datetime
    ready_at: datetime | None
    safe_to_remove_at: datetime | None
    live_tokens: int


async def list_signing_keys_with_phase(
    database: Database, settings: Settings
) -> list[ListedSigningKey]:
    """Return all signing keys, oldest first."""
    async with database.connection() as connection:
        facts = await load_facts(connection, settings)
        life = timedelta(seconds=settings.token_ttl)
        # Uses are counted by the hour, and the hour of the oldest live token began before it.
        usage = await list_usage_of_all(connection, None, facts.now - life - _HOUR)
    issued = IssuedTokens(usage, facts.now - life, facts.now)
    return [_build_listed(record, facts, issued) for record in facts.records]


def _build_listed(
    record: SigningKeyRecord, facts: KeyringFacts, issued: IssuedTokens
) -> ListedSigningKey:
    records, policy, now = facts.records, facts.policy, facts.now
    phase = phase_of(record, records, policy, now)
    return ListedSigningKey(
        record=record,
        phase=phase,
        age_seconds=int((now - record.created_at).total_seconds()),
        active_seconds=(now - (record.active_at or now)).total_seconds(),
        superseded_at=superseded_at(record, records),
        safe_to_activate_at=safe_to_activate_at(record, records, policy),
        ready_at=find_ready_at(record, records, policy, now) if phase == "pending" else None,
        safe_to_remove_at=safe_to_remove_at(record, records, policy),
        live_tokens=_estimate_live(record, records, issued),
    )


def _estimate_live(
    record: SigningKeyRecord, records: Sequence[SigningKeyRecord], issued: IssuedTokens
) -> int:
    """Return about how many live tokens a key has signed; those of a revoked key are dead."""
    turn = turn_of(record)
    if turn is None or record.revoked_at is not None:
        return 0
    return issued.count(turn.at, superseded_at(record, records))
