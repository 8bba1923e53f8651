"""Which of several Postgres servers is the primary.

After a failover, the old primary may come back and take writes as well. It does not know what has
been revoked since. Each promotion begins a new timeline, so the newest timeline tells the primary:
among the servers that answer, and among all that were ever seen. Timelines count within one cluster
only, because a dump that is restored into another cluster begins at 1 again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

UNKNOWN_CLUSTER: Final = 0  # of a server that does not tell its system identifier
# The file that keeps them must not grow without end; the clusters used last are kept.
_MOST_CLUSTERS: Final = 32

# What can be wrong although at least one server takes writes.
Problem = Literal["old_primary", "primary_unclear", "two_primaries"]

WAYS_OUT: Final[Mapping[Problem, str]] = {
    "old_primary": (
        "Wait for the new primary; if a backup was restored, remove timelines.json from the data "
        "folder and the keys folder"
    ),
    "primary_unclear": "Stop all of them but the right one",
    "two_primaries": "Stop the other one",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """What a server says of itself.

    `host` is how a person names it. `server` identifies the running server, because two hosts of a
    URL may lead to the same one. `cluster` is its system identifier. `timeline` is None for a
    standby, and if it cannot be told.
    """

    host: str
    server: str
    is_standby: bool
    cluster: int
    timeline: int | None

    def __str__(self) -> str:
        """Return host and timeline, for people."""
        return f"{self.host} (timeline {self.timeline or 'unknown'})"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTimelines:
    """The newest timeline that was seen of each cluster; `cluster` is the one that was used last.

    It is None if none was used.
    """

    cluster: int | None = None
    newest: Mapping[int, int] = field(default_factory=dict)

    def find_newest(self, cluster: int) -> int | None:
        """Return the newest timeline that a server of `cluster` must have, None if any will do."""
        return self.newest.get(self._resolve(cluster))

    def add(self, primary: HostState) -> SeenTimelines:
        """Return the same with a primary that is used from now on."""
        cluster = self._resolve(primary.cluster)
        timeline = max(self.newest.get(cluster, 0), primary.timeline or 0)
        rest = {key: value for key, value in self.newest.items() if key != cluster}
        # The one that is used stands last, so the others are dropped in the order of their last
        # use.
        kept = dict([*rest.items()][-(_MOST_CLUSTERS - 1) :])
        return SeenTimelines(cluster=cluster, newest={**kept, cluster: timeline})

    def merge(self, other: SeenTimelines) -> SeenTimelines:
        """Return the newest timelines of both; the cluster is ours if there is one."""
        newest = {**other.newest, **self.newest}
        for cluster, timeline in other.newest.items():
            newest[cluster] = max(timeline, newest[cluster])
        return SeenTimelines(
            cluster=other.cluster if self.cluster is None else self.cluster, newest=newest
        )

    def _resolve(self, cluster: int) -> int:
        """Return the cluster that a server counts to; one that does not tell counts to ours."""
        return (self.cluster or cluster) if cluster == UNKNOWN_CLUSTER else cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryChoice:
    """The server to use, None if there is none; all that take writes; and what is wrong with them.

    With the problem `two_primaries` there is a server to use, with the others there is none.
    """

    primary: HostState | None
    writable: tuple[HostState, ...]
    problem: Problem | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryProblem:
    """What is wrong with the servers that take writes; `detail` names them, for people and logs."""

    kind: Problem
    detail: str


def decide_primary(states: Iterable[HostState], seen: SeenTimelines) -> PrimaryChoice:
    """Return which of the servers that answered is the primary.

    Another cluster than the one used last is taken only if no primary of that one answers.
    """
    writable = _list_writable(states)
    ours: Sequence[HostState] = writable
    if seen.cluster:
        known = {UNKNOWN_CLUSTER, seen.cluster}
        ours = [one for one in writable if one.cluster in known] or writable
    if not ours:
        return PrimaryChoice(primary=None, writable=(), problem=None)
    best = max(ours, key=lambda one: one.timeline or 0)
    newest = seen.find_newest(best.cluster)
    if best.timeline is not None and newest is not None and best.timeline < newest:
        return PrimaryChoice(primary=None, writable=writable, problem="old_primary")
    # Nothing is guessed: the wrong one would accept what the other one has revoked.
    if any(_may_be_as_new(one, best) for one in ours if one is not best):
        return PrimaryChoice(primary=None, writable=writable, problem="primary_unclear")
    problem: Problem | None = "two_primaries" if len(writable) > 1 else None
    return PrimaryChoice(primary=best, writable=writable, problem=problem)


def describe_problem(choice: PrimaryChoice, seen: SeenTimelines) -> str:
    """Return what is wrong, for people; the empty string if nothing is."""
    named = " and ".join(str(one) for one in choice.writable)
    match choice.problem:
        case "two_primaries":
            (used,) = (one.host for one in choice.writable if one == choice.primary)
            return f"{named} take writes at once, and {used} is the newest of them"
        case "primary_unclear":
            return f"{named} take writes at once, and nothing tells which of them is the primary"
        case "old_primary":
            known = seen.find_newest(choice.writable[0].cluster)
            return f"{named} is an old primary, because timeline {known} was seen before"
        case _:
            return ""


def _list_writable(states: Iterable[HostState]) -> tuple[HostState, ...]:
    """Return the servers that take writes, each of them once."""
    found: dict[tuple[int, str], HostState] = {}
    for state in states:
        if not state.is_standby:
            found.setdefault((state.cluster, state.server), state)
    return tuple(found.values())


def _may_be_as_new(one: HostState, best: HostState) -> bool:
    """Tell whether nothing shows that `best` is newer: only timelines of one cluster compare."""
    clusters: Sequence[int] = (one.cluster, best.cluster)
    is_other = one.cluster != best.cluster and UNKNOWN_CLUSTER not in clusters
    return is_other or (one.timeline or 0) == (best.timeline or 0)
