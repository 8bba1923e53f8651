"""The connections of a process: whose client does not read, and which is closed for a new one."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from typing import Any

from tokensvc.web.connections import Connections, find_most_connections
from tokensvc.web.limit_log import LimitLog


@dataclass(eq=False)
class Handler:
    """As much of a connection's protocol as is looked at."""

    has_asked: bool = False
    is_at_work: bool = False
    idle_since: float | None = None
    begun_on: float | None = None


@dataclass(eq=False)
class Transport:
    """A connection whose answer waits to be read."""

    waiting: int = 0
    is_closed: bool = False

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def abort(self) -> None:
        self.is_closed = True

    def close(self) -> None:
        self.is_closed = not self.waiting  # it waits until all is sent


def connect(connections, handler, waiting=0):
    transport = Transport(waiting)
    connections.add(handler, transport)
    return transport


def test_t40_a_client_that_does_not_read_is_closed_within_15_seconds():
    connections = Connections(LimitLog(), most=10)
    reads = connect(connections, Handler())
    stuck = connect(connections, Handler(), waiting=100_000)
    trickles = connect(connections, Handler(), waiting=100_000)
    slow = connect(connections, Handler(), waiting=1_000_000)
    for now in (0.0, 2.5, 5.0, 7.5, 10.0):
        connections.look_once(now)
        trickles.waiting -= 10
        slow.waiting -= 20_000
    assert not any(one.is_closed for one in (reads, stuck, trickles, slow))
    connections.look_once(12.5)
    assert (reads.is_closed, slow.is_closed) == (False, False)
    assert (stuck.is_closed, trickles.is_closed) == (True, True)


def test_f11_a_client_that_sends_no_whole_header_is_closed_within_15_seconds():
    connections = Connections(LimitLog(), most=10)
    idle = connect(connections, Handler(begun_on=None))
    slow = connect(connections, Handler(begun_on=2.0))
    connections.look_once(12.5)
    assert (idle.is_closed, slow.is_closed) == (False, False)
    connections.look_once(15.0)
    assert (idle.is_closed, slow.is_closed) == (False, True)


def test_a_client_that_has_read_everything_begins_anew_with_its_next_answer():
    connections = Connections(LimitLog(), most=10)
    transport = connect(connections, Handler(), waiting=1000)
    connections.look_once(0.0)
    transport.waiting = 0
    connections.look_once(10.0)
    transport.waiting = 1000
    connections.look_once(12.5)
    connections.look_once(20.0)
    assert not transport.is_closed
    connections.look_once(25.0)
    assert transport.is_closed


def test_f37_beyond_the_limit_the_oldest_connection_without_a_request_makes_room():
    connections = Connections(LimitLog(), most=4)
    kept = connect(connections, Handler(has_asked=True))
    silent = [connect(connections, Handler()) for _ in range(2)]
    busy = connect(connections, Handler(is_at_work=True))
    connect(connections, Handler())
    assert [one.is_closed for one in silent] == [True, False]
    connect(connections, Handler())
    assert all(one.is_closed for one in silent)
    assert (kept.is_closed, busy.is_closed) == (False, False)


def test_if_all_have_sent_requests_the_oldest_idle_one_makes_room():
    connections = Connections(LimitLog(), most=2)
    busy = connect(connections, Handler(has_asked=True, is_at_work=True))
    idle = connect(connections, Handler(has_asked=True))
    connect(connections, Handler())
    assert (busy.is_closed, idle.is_closed) == (False, True)


def test_f37_connections_in_work_are_not_looked_at_again_and_again():
    connections = Connections(LimitLog(), most=250)
    busy = [connect(connections, Handler(has_asked=True, is_at_work=True)) for _ in range(240)]
    idle = [connect(connections, Handler(has_asked=True)) for _ in range(10)]
    for _ in range(3):
        connect(connections, Handler(has_asked=True))
    assert [one.is_closed for one in idle[:2]] == [True, False]
    assert not any(one.is_closed for one in busy)


def test_a_connection_that_has_ended_is_forgotten():
    connections = Connections(LimitLog(), most=1)
    handler: Any = Handler()
    gone = connect(connections, handler)
    connections.remove(handler)
    assert not connections.has_silent
    connect(connections, Handler())
    assert not gone.is_closed
    assert connections.accepted == 2


def test_descriptors_are_left_for_everything_else():
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert 0 < find_most_connections(10) <= soft - 10


def test_t40_who_is_idle_and_does_not_read_is_closed_as_well():
    connections = Connections(LimitLog(), most=10)
    stuck = connect(connections, Handler(has_asked=True, idle_since=0.0), waiting=100)
    for now in (20.0, 30.0, 40.0):
        connections.look_once(now)
    assert stuck.is_closed


def test_who_has_sent_plain_exchanges_is_closed_after_15_idle_seconds():
    connections = Connections(LimitLog(), most=10)
    idle = connect(connections, Handler(has_asked=True, idle_since=10.0))
    others = [
        connect(connections, Handler(has_asked=True, idle_since=11.0)),
        connect(connections, Handler(has_asked=True)),
    ]
    connections.look_once(25.5)
    assert idle.is_closed
    assert not any(other.is_closed for other in others)
