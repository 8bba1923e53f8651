"""The signing keys as operators see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokensvc.core.keyring import phase_of, safe_to_activate_at, safe_to_remove_at
from tokensvc.issuer.signing.rotation import load_facts

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.core.keyring import Phase, SigningKeyRecord
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSigningKey:
    """A signing key, its phase, and when it is safe to activate and to remove it.

    `active_seconds`: for how long it has been meant to sign, negative if it has not begun.
    """

    record: SigningKeyRecord
    phase: Phase
    age_seconds: int
    active_seconds: float
    safe_to_activate_at: datetime
    safe_to_remove_at: datetime | None


async def list_signing_keys_with_phase(
    database: Database, settings: Settings
) -> list[ListedSigningKey]:
    """Return all signing keys, oldest first."""
    async with database.connection() as connection:
        facts = await load_facts(connection, settings)
    return [
        ListedSigningKey(
            record=r,
            phase=phase_of(r, facts.records, facts.policy, facts.now),
            age_seconds=int((facts.now - r.created_at).total_seconds()),
            active_seconds=(facts.now - (r.active_at or facts.now)).total_seconds(),
            safe_to_activate_at=safe_to_activate_at(r, facts.records, facts.policy),
            safe_to_remove_at=safe_to_remove_at(r, facts.records, facts.policy),
        )
        for r in facts.records
    ]
