"""Followers of the feed."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from tokensvc.operations.model import ListPage, Model, Moment, PageRequest
from tokensvc.operations.operation import READERS, Operation


class Follower(Model):
    """A follower. `applied` and `head` are numbers in the feed."""

    name: str = Field(
        description="How it calls itself; one that proves its name has the id of its API key and "
        "`/` in front."
    )
    state: Literal["current", "lagging", "silent"] = Field(
        description="`current`: it has applied everything. `lagging`: it lacks a revocation. "
        "`silent`: it has not asked for a minute."
    )
    applied: int = Field(description="The number of the last entry that it has applied.")
    head: int = Field(description="The number of the last entry of the feed.")
    lag_seconds: float = Field(
        description="How many seconds ago the first revocation that it lacks was made; 0: it lacks "
        "none."
    )
    seen_at: Moment = Field(description="When it asked last.")
    authenticated: bool = Field(description="Whether it proves its name by a token.")


class FollowersRequest(PageRequest):
    """Which part of the list is wanted."""


class Followers(ListPage[Follower]):
    """Followers that were heard of in the last hour, those that prove their names first."""

    unproved: int = Field(description="How many show no token. They may not all be listed.")


OPERATIONS: Final = (
    Operation(
        name="followers.list",
        method="GET",
        path="/v1/followers",
        summary="List the followers of the feed, and what each has applied.",
        needs=READERS,
        request=FollowersRequest,
        response=Followers,
    ),
)
