"""Which of several servers is the primary: every rule, and what holds whatever they answer."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokensvc.core.primary import (
    UNKNOWN_CLUSTER,
    HostState,
    SeenTimelines,
    decide_primary,
    describe_problem,
)

OURS, OTHER = 7001, 7002
NOTHING = SeenTimelines()


def server(name, timeline=1, *, cluster=OURS, same_as=None, is_standby=False):
    return HostState(
        host=name,
        server=same_as or name,
        is_standby=is_standby,
        cluster=cluster,
        timeline=None if is_standby else timeline,
    )


def seen(timeline, cluster=OURS):
    return SeenTimelines(cluster=cluster, newest={cluster: timeline})


def name_choice(choice):
    return choice.primary and choice.primary.host, choice.problem


@pytest.mark.parametrize(
    ("states", "known", "expected"),
    [
        ([], NOTHING, (None, None)),
        ([server("a", is_standby=True)], seen(1), (None, None)),
        ([server("a"), server("b", is_standby=True)], seen(1), ("a", None)),
        ([server("a", 1), server("b", 2)], NOTHING, ("b", "two_primaries")),
        ([server("a", 2), server("b", 1)], seen(1), ("a", "two_primaries")),
        # Only the old one answers.
        ([server("a", 1)], seen(2), (None, "old_primary")),
        ([server("a", 1), server("b", 2)], seen(3), (None, "old_primary")),
        # Two standbys were promoted, or a copy was started: nothing tells which is right.
        ([server("a", 2), server("b", 2)], seen(2), (None, "primary_unclear")),
        ([server("a", 1), server("b", 2), server("c", 2)], seen(1), (None, "primary_unclear")),
        # Two poolers, or two names, lead to one server.
        ([server("a", 2), server("b", 2, same_as="a")], seen(2), ("a", None)),
        # Timelines of another cluster do not compare.
        ([server("a", 1, cluster=OTHER)], seen(5), ("a", None)),
        ([server("a", 9, cluster=OTHER), server("b", 2)], seen(2), ("b", "two_primaries")),
        ([server("a", 9, cluster=OTHER), server("b", 1)], seen(2), (None, "old_primary")),
        ([server("a", 9, cluster=OTHER), server("b", 2)], NOTHING, (None, "primary_unclear")),
        # A server that does not tell its system identifier counts to the cluster that is used.
        ([server("a", 1, cluster=UNKNOWN_CLUSTER)], seen(2), (None, "old_primary")),
        ([server("a", 2, cluster=UNKNOWN_CLUSTER)], seen(2), ("a", None)),
        ([server("a", 1, cluster=0), server("b", 2, cluster=0)], NOTHING, ("b", "two_primaries")),
        # One that does not tell its timeline is used, but never in doubt.
        ([server("a", None)], seen(2), ("a", None)),
        ([server("a", None), server("b", None)], NOTHING, (None, "primary_unclear")),
        ([server("a", None), server("b", 1)], NOTHING, ("b", "two_primaries")),
    ],
)
def test_f44_the_newest_primary_of_our_cluster_is_used_unless_it_is_old_or_unclear(
    states, known, expected
):
    for order in itertools.permutations(states):
        choice = decide_primary(order, known)
        problem = choice.problem
        if expected == ("a", None) and len(states) > 1:
            assert choice.primary is not None
            assert problem is None
        else:
            assert name_choice(choice) == expected


@given(
    st.lists(
        st.builds(
            server,
            st.sampled_from("abcd"),
            st.none() | st.integers(1, 4),
            cluster=st.sampled_from([OURS, OTHER, UNKNOWN_CLUSTER]),
            is_standby=st.booleans(),
        ),
        max_size=4,
        unique_by=lambda one: one.host,
    ),
    st.sampled_from([OURS, OTHER, UNKNOWN_CLUSTER]),
    st.integers(1, 4),
)
def test_f44_no_server_is_used_that_is_older_than_one_that_was_seen_or_answers(
    states, cluster, timeline
):
    known = seen(timeline, cluster)
    primary = decide_primary(states, known).primary
    if primary is None:
        return
    assert primary in states
    assert not primary.is_standby
    rivals = [one for one in states if one.cluster == primary.cluster and not one.is_standby]
    assert (primary.timeline or 0) == max(one.timeline or 0 for one in rivals)
    assert [one.timeline for one in rivals].count(primary.timeline) == 1
    assert primary.timeline is None or primary.timeline >= (known.find_newest(primary.cluster) or 0)


def test_what_was_seen_never_becomes_older_whatever_is_added_or_merged():
    known = NOTHING.add(server("a", 3))
    assert known == seen(3)
    assert known.add(server("a", None)) == seen(3)
    assert known.add(server("a", 5, cluster=UNKNOWN_CLUSTER)) == seen(5)
    both = known.add(server("b", 1, cluster=OTHER))
    assert both == SeenTimelines(cluster=OTHER, newest={OURS: 3, OTHER: 1})
    assert both.merge(seen(7)) == SeenTimelines(cluster=OTHER, newest={OURS: 7, OTHER: 1})
    assert NOTHING.merge(both) == both
    assert both.merge(NOTHING) == both
    assert NOTHING.add(server("a", 4, cluster=UNKNOWN_CLUSTER)) == seen(4, UNKNOWN_CLUSTER)


def test_of_very_many_clusters_those_used_last_are_kept():
    known = NOTHING
    for cluster in range(1, 100):
        known = known.add(server("a", 1, cluster=cluster))
    assert list(known.newest) == list(range(68, 100))


def test_a_problem_is_told_with_hosts_and_timelines():
    two = [server("a:1", 1), server("b:2", 2)]

    def tell(states, known):
        return describe_problem(decide_primary(states, known), known)

    assert tell(two, NOTHING) == (
        "a:1 (timeline 1) and b:2 (timeline 2) take writes at once, and b:2 is the newest of them"
    )
    assert tell([server("a", None), server("b", None)], NOTHING) == (
        "a (timeline unknown) and b (timeline unknown) take writes at once, "
        "and nothing tells which of them is the primary"
    )
    assert tell(two[:1], seen(2)) == (
        "a:1 (timeline 1) is an old primary, because timeline 2 was seen before"
    )
    assert tell([], NOTHING) == ""
    assert tell(two[:1], NOTHING) == ""
