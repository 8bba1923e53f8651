"""What a command prints of each kind of thing: the fields, in the order in which they are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.cli.duration import whole_seconds

if TYPE_CHECKING:
    from tokensvc.cli.output import Row
    from tokensvc.core.account import Account
    from tokensvc.core.api_key import ListedKey
    from tokensvc.core.audience import Audience
    from tokensvc.core.denylist.record import RevocationRecord
    from tokensvc.core.follower import FollowerRecord
    from tokensvc.issuer.signing.listing import ListedSigningKey


def build_account_row(account: Account) -> Row:
    """Return an account as it is printed."""
    return {
        "id": account.id,
        "name": account.name,
        "state": account.state,
        "created_at": account.created_at,
        "suspended_at": account.suspended_at,
        "tier": account.limits.tier,
        "per_minute": account.minute_limit,
        "per_day": account.day_limit,
    }


def build_key_row(listed: ListedKey) -> Row:
    """Return an API key as it is printed. The key itself is not in it."""
    key = listed.record
    return {
        "id": key.id,
        "account": key.account_id,
        "name": key.terms.name,
        "description": key.terms.description,
        "hint": key.hint,
        "state": listed.state,
        "capabilities": list(key.terms.capabilities),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "disabled_at": key.disabled_at,
        "revoked_at": key.revoked_at,
        "tier": key.terms.limits.tier,
        "per_minute": key.minute_limit,
        "per_day": key.day_limit,
        "last_used_at": key.last_used_at,
        "last_used_network": key.last_used_network,
        "last_used_audience": key.last_used_audience,
        "predecessor": key.predecessor_id,
        "successor": key.successor_id,
    }


def build_audience_row(audience: Audience) -> Row:
    """Return an audience as it is printed; `token_ttl` is in seconds, None for the default."""
    life = audience.token_life
    return {
        "name": audience.name,
        "description": audience.description,
        "token_ttl": None if life is None else whole_seconds(life),
        "alg": audience.alg,
        "created_at": audience.created_at,
    }


def build_signing_key_row(listed: ListedSigningKey) -> Row:
    """Return a signing key as it is printed. The private key is not in it."""
    return {
        "kid": listed.record.kid,
        "alg": listed.record.alg,
        "phase": listed.phase,
        "age_seconds": listed.age_seconds,
        "created_at": listed.record.created_at,
        "active_at": listed.record.active_at,
        "revoked_at": listed.record.revoked_at,
        "safe_to_activate_at": listed.safe_to_activate_at,
        "safe_to_remove_at": listed.safe_to_remove_at,
    }


def build_revocation_row(record: RevocationRecord) -> Row:
    """Return a revocation as it is printed; `upto` and `expires` are seconds since 1970."""
    revocation = record.revocation
    return {
        "seq": record.position.seq,
        "kind": revocation.kind,
        "value": revocation.value,
        "upto": revocation.upto,
        "expires": revocation.exp,
        "ending": record.ending,
        "healed": record.healed,
        "created_at": record.created_at,
    }


def describe_ending(record: RevocationRecord) -> str:
    """Return in words what came to its end."""
    words = record.ending.replace("_", " ")
    return f"{words}; written again after a loss" if record.healed else words


def build_follower_row(follower: FollowerRecord) -> Row:
    """Return a follower as it is printed; `applied` and `head` are numbers in the feed (`seq`)."""
    return {
        "name": str(follower.id),
        "state": follower.state,
        "applied": follower.seq,
        "head": follower.head_seq,
        "lag_seconds": round(follower.lag_seconds, 3),
        "seen_at": follower.seen_at,
        "authenticated": follower.authenticated,
    }
