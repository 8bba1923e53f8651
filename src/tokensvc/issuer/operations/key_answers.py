"""API keys as callers see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.operations.key_reading import Key, NewKey

if TYPE_CHECKING:
    from tokensvc.core.api_key import ListedKey
    from tokensvc.issuer.admin import api_keys


def build_key_answer(listed: ListedKey) -> Key:
    """Return an API key as callers see it."""
    key, terms = listed.record, listed.record.terms
    return Key(
        id=key.id,
        account=key.account_id,
        name=terms.name,
        description=terms.description,
        hint=key.hint,
        state=listed.state,
        capabilities=list(terms.capabilities),
        audiences=list(terms.audiences),
        networks=list(terms.networks),
        metadata=dict(terms.metadata),
        claims=dict(terms.claims),
        self_rotation=terms.self_rotation,
        created_at=key.created_at,
        expires_at=key.expires_at,
        disabled_at=key.disabled_at,
        revoked_at=key.revoked_at,
        tier=terms.limits.tier,
        per_minute=key.minute_limit,
        per_day=key.day_limit,
        own_per_minute=terms.limits.per_minute,
        own_per_day=terms.limits.per_day,
        last_used_at=key.last_used_at,
        last_used_network=key.last_used_network,
        last_used_audience=key.last_used_audience,
        predecessor=key.predecessor_id,
        successor=key.successor_id,
    )


def build_new_key(made: api_keys.NewKey) -> NewKey:
    """Return a new API key with its text: the only answer that has it."""
    return NewKey(key=made.key.text, **dict(build_key_answer(made.listed)))
