"""What a witness of the audit trail notices, and what it does not mistake for a change."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from tokensvc.core.audit_claim import AuditClaim, build_claim, parse_claim
from tokensvc.core.audit_event import AuditHead
from tokensvc.core.audit_witness import Witness, build_witness, parse_witness

NOW = 1_800_000_000


def hash_of(number, history="good"):
    return sha256(f"{history} {number}".encode()).digest()


def claim(number, *earlier, missing=(), history="good", epoch="one"):
    said = {at: hash_of(at, history)[:16] for at in earlier} | dict.fromkeys(missing)
    return AuditClaim(head=AuditHead(number, hash_of(number, history), epoch), earlier=said)


@pytest.fixture
def witness():
    witness = Witness()
    assert witness.compare(claim(420, 300, 400), NOW) is None
    return witness


def test_a_trail_that_only_grows_is_no_problem(witness):
    assert witness.compare(claim(430, 400, 420), NOW + 1) is None
    assert (witness.problem, witness.head.number, witness.questions) == (None, 430, [])


@pytest.mark.parametrize(
    ("later", "problem"),
    [
        (claim(420, history="other"), "event 420 has another hash than before"),
        (claim(500, 300, history="other"), "event 300 has another hash than before"),
        (claim(410, missing=[420]), "event 420 is missing, which was there before"),
    ],
)
def test_t44_a_change_is_noticed_at_once_and_told_once(witness, later, problem):
    assert witness.compare(later, NOW) == problem
    assert witness.compare(later, NOW + 60) is None
    assert witness.problem == problem
    assert witness.head.number == 420, "the evidence stays"


def test_a_trail_that_ends_earlier_is_a_problem_after_the_replicas_had_their_time(witness):
    assert witness.compare(claim(410, 300, 400), NOW + 5) is None, "another replica, a little late"
    assert witness.questions == [420]
    problem = "the trail ends at event 410, and reached event 420 before"
    assert witness.compare(claim(410, 300, 400), NOW + 6) == problem


def test_the_answer_to_a_question_decides_it_at_once(witness):
    witness.compare(claim(410), NOW)
    assert witness.compare(claim(425, 420), NOW, asked=420) is None
    assert witness.questions == []
    witness.compare(claim(410), NOW)
    assert witness.compare(claim(415, missing=[420]), NOW, asked=420) is not None


def test_an_answer_that_a_page_has_overtaken_is_no_problem(witness):
    witness.compare(claim(410), NOW)
    witness.compare(claim(430, 420), NOW + 1)
    assert witness.compare(claim(425, 420), NOW + 9, asked=420) is None
    assert witness.problem is None


def test_a_number_that_no_page_repeats_is_asked_for_until_it_is_answered(witness):
    witness.compare(claim(9000, 8900), NOW + 9)
    witness.compare(claim(9001, 9000), NOW + 10)
    assert witness.questions == [420]
    assert witness.compare(claim(9002), NOW + 10, asked=420) is None, "it was ended by the owner"
    assert witness.questions == []


def test_a_declared_reset_is_an_event_and_no_alarm(witness):
    witness.compare(claim(420, history="other"), NOW)
    assert witness.compare(claim(100, history="other", epoch="two"), NOW + 1) is None
    assert (witness.problem, list(witness.resets)) == (None, [("one", 420, 100)])
    assert witness.compare(claim(110, 100, history="other", epoch="two"), NOW + 2) is None


def test_an_epoch_that_has_ended_does_not_come_back(witness):
    witness.compare(claim(100, epoch="two"), NOW + 1)
    assert witness.compare(claim(430, 420), NOW + 3) is None, "a replica that is late"
    assert witness.compare(claim(430, 420), NOW + 60) is not None


def test_it_keeps_the_newest_thousand():
    witness = Witness()
    for number in range(1, 1102):
        witness.compare(claim(number, *([number - 1] if number > 1 else [])), NOW)
    assert (min(witness.heads), len(witness.heads)) == (102, 1000)


def test_what_it_keeps_is_read_again(witness):
    witness.compare(claim(100, epoch="two"), NOW + 1)
    witness.compare(claim(100, history="other", epoch="two"), NOW + 1)
    again = parse_witness(build_witness(witness))
    assert build_witness(again) == build_witness(witness)
    assert again.problem
    assert build_witness(parse_witness(None)) is None


def test_a_claim_is_read_as_it_was_written():
    said = claim(420, 300, missing=[400])
    assert parse_claim(build_claim(said)) == said


@pytest.mark.parametrize(
    "changes",
    [
        {"number": -1},
        {"number": True},
        {"number": 10**18},
        {"hash": "00"},
        {"hash": None},
        {"epoch": ""},
        {"epoch": 7},
        {"earlier": {"x": None}},
        {"earlier": {"7": "00"}},
        {"earlier": {str(at): None for at in range(1001)}},
        {"earlier": None},
    ],
)
def test_junk_is_no_claim(changes):
    with pytest.raises(ValueError, match="no claim"):
        parse_claim(build_claim(claim(420)) | changes)


def test_junk_is_no_witness(witness):
    kept = build_witness(witness) or {}
    changes: list[dict[str, Any]] = [
        *({name: 1e999} for name in kept),
        {"heads": []},
        {"heads": {"7": None}},
        {"resets": [["one", 1e999, 1]]},
        {"resets": [["one", 1]]},
    ]
    for change in changes:
        with pytest.raises(ValueError, match="no witness"):
            parse_witness(kept | change)
