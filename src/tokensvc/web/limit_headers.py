"""The values of the headers that tell limits (draft-ietf-httpapi-ratelimit-headers-11)."""

from __future__ import annotations


def write_policy(name: str, limit: int, window: int) -> str:
    """Return a limit as `RateLimit-Policy` tells it. `window`: in seconds."""
    return f'"{name}";q={limit};w={window}'


def write_rest(name: str, left: int, resets_in: int) -> str:
    """Return what is left of a limit as `RateLimit` tells it. `resets_in`: seconds."""
    return f'"{name}";r={left};t={resets_in}'
