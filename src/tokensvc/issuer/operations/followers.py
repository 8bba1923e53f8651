"""The operation that lists the followers of the feed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.issuer.operations.paging import cut_page
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
    found, unproved = await list_and_count_followers(call.database)
    page, next_cursor = cut_page(request, found, _find_key)
    return Followers(
        items=[build_follower(follower) for follower in page],
        next_cursor=next_cursor,
        unproved=unproved,
    )


def _find_key(follower: FollowerRecord) -> str:
    """Return what the list is sorted by: those that prove their names come first."""
    return f"{0 if follower.authenticated else 1} {follower.id}"
