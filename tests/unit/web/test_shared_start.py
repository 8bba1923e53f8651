"""What the workers of one service know together of its start."""

from __future__ import annotations

import os

import pytest

from tokensvc.web.shared_start import SharedStart


@pytest.fixture
def start():
    with SharedStart(workers=2) as made:
        yield made


def in_child(act):
    """Return whether `act` is true in a process of its own."""
    child = os.fork()
    if child == 0:
        os._exit(0 if act() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_one_worker_at_a_time_has_its_turn(start):
    assert start.take_turn()
    assert not in_child(start.take_turn)
    start.end_turn()
    assert in_child(start.take_turn), "and a worker that has ended gives it up"
    assert start.take_turn()


def test_the_workers_know_what_one_of_them_did(start):
    assert not start.is_prepared
    assert not start.is_serving
    assert not start.are_all_open
    in_child(start.note_prepared)
    assert start.is_prepared
    assert in_child(start.note_serving), "the first one to say so"
    assert not start.note_serving()
    assert start.is_serving


def test_all_are_open_when_every_worker_that_lives_is(start):
    assert not start.are_all_open
    start.note_open()
    assert not start.are_all_open
    assert in_child(lambda: start.note_open() or start.are_all_open)
    assert not start.are_all_open, "one of them has died"
    assert in_child(lambda: start.note_open() or start.are_all_open), "another one replaces it"


def test_a_worker_that_replaces_a_dead_one_does_not_count_twice(start):
    for _ in range(2):
        in_child(start.note_open)
        assert not start.are_all_open
    assert in_child(lambda: start.note_open() or not start.are_all_open)


def test_a_refusal_is_kept_once(start):
    assert start.refusal is None
    in_child(lambda: start.note_refusal("the longer one of two reasons"))
    start.note_refusal("the schlüssel is missing")
    assert start.refusal == "the schlüssel is missing"
