"""What is said of a thing that does not exist: the same words, whoever looks for it."""

from __future__ import annotations

from tokensvc.core.errors import NotFoundError


def no_such_account(account_id: str) -> NotFoundError:
    """Return the error for an account that does not exist, or was deleted."""
    return NotFoundError(f"there is no account {account_id[:40]!r}", thing=account_id)


def no_such_key(key_id: str) -> NotFoundError:
    """Return the error for a key that does not exist, or was deleted."""
    message = f"there is no key {key_id[:40]!r}; `tokensvc key list` shows their ids"
    return NotFoundError(message, thing=key_id)


def no_such_tier(name: str) -> NotFoundError:
    """Return the error for a tier that does not exist."""
    message = f"there is no tier {name[:80]!r}; `tokensvc tier list` shows them"
    return NotFoundError(message, thing=name)


def unknown_tier(name: str) -> NotFoundError:
    """Return the same for a tier that a key or an account is to have."""
    return NotFoundError(no_such_tier(name).message, pointer="/tier")


def no_such_capability(name: str) -> NotFoundError:
    """Return the error for a capability that does not exist."""
    return NotFoundError(f"there is no capability {name[:80]!r}", thing=name)


def no_such_audience(name: str) -> NotFoundError:
    """Return the error for an audience that does not exist."""
    return NotFoundError(f"there is no audience {name[:80]!r}", thing=name)
