"""The operation that lists the followers of the feed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.issuer.revoking.receipts import list_and_count_followers
from tokensvc.operations.followers import Follower, Followers

if TYPE_CHECKING:
    from tokensvc.core.follower import FollowerRecord
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.followers import FollowersRequest


def build_follower(follower: FollowerRecord) -> Follower:
    """Return a follower as callers see it."""
    return Follower(
        name=str(follower.id),
        state=follower.state,
        applied=follower.seq,
        head=follower.head_seq,
        lag_seconds=round(follower.lag_seconds, 3),
        seen_at=follower.seen_at,
        authenticated=follower.authenticated,
    )


async def list_(call: Call, request: FollowersRequest) -> Followers:
    """List the followers."""
    del request
    found, unproved = await list_and_count_followers(call.database)
    return Followers(items=[build_follower(follower) for follower in found], unproved=unproved)
