"""The options of a verifier as a type, for those who only pass them on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Required, TypedDict

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from tokensvc.verify.fetch import FeedToken, Fetches
    from tokensvc.verify.refresh import Clock


class VerifierOptions(TypedDict, total=False):
    """What `Verifier` takes; it says there what each means."""

    issuer: Required[str]
    audience: Required[str]
    algorithms: Sequence[str]
    leeway: float
    max_staleness: float
    when_stale: Literal["reject", "accept"]
    jwks_cooldown: float
    jwks_stale_if_error: float
    http_timeout: float
    feed_wait: int
    remember: int
    follower: str | None
    snapshot_path: str | os.PathLike[str] | None
    on_verify: Callable[[str], None] | None
    jwks_url: str | None
    denylist_url: str | None
    feed_token: FeedToken | None
    fetcher: Fetches | None
    clock: Clock
