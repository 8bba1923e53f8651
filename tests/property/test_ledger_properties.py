"""Admissions are handed out exactly, in order, and never more than Postgres has given."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.factories import make_verdict

from tokensvc.core.ledger import Question, count_questions, hand_out

KEYS = ("a", "b", "c")
QUESTIONS = [
    Question(key.encode() * 32, None, demand, True) for key in KEYS for demand in (None, "x")
]
UNKNOWN = Question(b"?" * 32, None, None, True)


def key_of(question: Question) -> str:
    assert question.digest is not None
    return question.digest[:1].decode()


@given(
    st.lists(st.sampled_from([*QUESTIONS, UNKNOWN])),
    st.fixed_dictionaries({key: st.integers(0, 20) for key in KEYS}),
)
def test_each_key_gets_exactly_what_was_counted_or_asked_and_the_first_get_it(asked, left):
    counts = count_questions(asked)
    wanted = {
        key: sum(n for question, n in counts.items() if key_of(question) == key) for key in KEYS
    }
    counted = {key: min(wanted[key], left[key]) for key in KEYS}
    verdicts = {
        question: make_verdict(key_id=key_of(question))
        for question in counts
        if question != UNKNOWN
    }
    decisions = hand_out(asked, verdicts, counted)
    assert len(decisions) == len(asked)
    for key in KEYS:
        of_key = [
            decision
            for question, decision in zip(asked, decisions, strict=True)
            if question != UNKNOWN and key_of(question) == key
        ]
        admitted = [decision.admitted for decision in of_key if decision is not None]
        assert admitted == [True] * counted[key] + [False] * (wanted[key] - counted[key])
        assert [d.unspent for d in of_key if d is not None and d.admitted] == list(
            reversed(range(counted[key]))
        )
    assert [
        decision for question, decision in zip(asked, decisions, strict=True) if question == UNKNOWN
    ] == [None] * asked.count(UNKNOWN)
