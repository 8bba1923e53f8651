"""What people call the reasons, acts and endings that programs name."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Final

from tokensvc.web.dashboard.moments import write_clock

_MOMENT: Final = re.compile(r"[0-9-]{10}T[0-9:.]{8,15}(Z|\+00:00)")
# What people call a reason, and what it means to the owner of the key.
_REASONS: Final = {
    "key_minute_limited": (
        "Over the key's minute",
        "The program should keep its token until that expires, or needs a higher limit.",
    ),
    "key_day_limited": (
        "Over the key's day",
        "The program should keep its token until that expires, or needs a higher limit.",
    ),
    "account_minute_limited": ("Over the account's minute", "All its keys share that limit."),
    "account_day_limited": ("Over the account's day", "All its keys share that limit."),
    "disabled": ("Disabled key", "A program still uses it. Enable it, or change the program."),
    "revoked": ("Revoked key", "A program still uses it, or somebody else does."),
    "expired": ("Expired key", "A program still uses it, and needs a new key."),
    "suspended": ("Suspended account", "No key of the account gets a token."),
    "invalid_scope": ("Scope refused", "It asked for a capability that the key does not hold."),
    "unnamed_scope": (
        "Scope not named",
        "A key for this service alone gets only the scope that its request names.",
    ),
    "invalid_target": ("Unknown audience", "It asked for an audience that does not exist."),
    "wrong_audience": ("Audience refused", "The key may not ask for that audience."),
    "wrong_network": ("Network refused", "It came from outside of the networks of the key."),
    "wrong_client": ("Another client", "The client beside the token was another one."),
    "wrong_client_id": ("Another client id", "It named the id of another key."),
}
_ACTS: Final = {
    "create": "made",
    "update": "changed",
    "delete": "deleted",
    "disable": "disabled",
    "enable": "enabled",
    "revoke": "revoked",
    "revoke-tokens": "revoked the tokens of",
    "rotate": "rotated",
    "rotate-self": "rotated itself:",
    "report": "reported a leak of",
    "set-contact": "changed the contact of",
    "suspend": "suspended",
    "resume": "resumed",
    "import": "imported",
    "export": "exported",
    "drop": "removed",
    "prune": "deleted old events of",
    "reset": "declared a reset of",
    "confirm": "confirmed",
    "redeliver": "sent again a notice to",
    "rotate-secret": "rotated the secret of",
    "test": "sent a test to",
    "sign-in": "signed in to",
    "sign-out": "signed out of",
    "refuse": "was refused at",
    "used_after_end": "was used after its end:",
}
_SUBJECTS: Final = {
    "accounts": "the account",
    "audiences": "the audience",
    "audit": "the audit trail",
    "capabilities": "the capability",
    "dashboard": "the dashboard with",
    "key": "the key",
    "keys": "the key",
    "leaks": "the key",
    "master-key": "the master key",
    "notice-deliveries": "the receiver",
    "notice-endpoints": "the receiver",
    "signing-keys": "the signing key",
    "tiers": "the tier",
    "tokens": "a token",
}
_ENDINGS: Final = {
    "token_revoked": "Token",
    "key_tokens_revoked": "Tokens of a key",
    "key_disabled": "Key, disabled",
    "key_revoked": "Key, revoked",
    "key_deleted": "Key, deleted",
    "account_tokens_revoked": "Tokens of an account",
    "account_suspended": "Account, suspended",
    "account_deleted": "Account, deleted",
    "signing_key_revoked": "Signing key",
}


def write_reason(reason: str) -> str:
    """Return why an exchange was refused."""
    return _REASONS.get(reason, (reason.replace("_", " ").capitalize(), ""))[0]


def explain_reason(reason: str) -> str:
    """Return what a refusal means to the owner of the key, empty if nothing is known."""
    return _REASONS.get(reason, ("", ""))[1]


def write_act(operation: str) -> str:
    """Return an operation of the audit trail: "revoked the key"."""
    subject, _, verb = operation.partition(".")
    return f"{_ACTS.get(verb, verb)} {_SUBJECTS.get(subject, subject)}"


def write_detail(value: object) -> str:
    """Return what an event says of something: a moment in words, a text as it is, else JSON."""
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        return write_clock(datetime.fromisoformat(value)) if _MOMENT.fullmatch(value) else value
    except ValueError:  # a name may look like a moment and be none
        return value


def write_ending(ending: str) -> str:
    """Return what came to its end by a revocation: "Key, disabled"."""
    return _ENDINGS.get(ending, ending.replace("_", " ").capitalize())
