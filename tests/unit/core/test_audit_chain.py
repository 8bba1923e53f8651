from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from tokensvc.core.audit_chain import (
    FIRST_HASH,
    Break,
    Chain,
    build_text,
    compute_hash,
)
from tokensvc.core.audit_event import AuditEvent
from tokensvc.core.audit_export import build_line, parse_line
from tokensvc.core.errors import InvalidInputError

EVENT = AuditEvent(
    number=1,
    at=datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=UTC),
    actor="key_1",
    account_id="acct_1",
    address="192.0.2.7",
    address_salt=b"salt",
    address_commitment=sha256(b"salt192.0.2.7").digest(),
    request_id="r1",
    operation="keys.update",
    subject="key_2",
    detail={"name": "ü", "é": [1, {"bb": True, "a": None, "c": -(10**30)}], "": {}},
    hash=b"",
)
OTHER = {
    "number": 2,
    "at": EVENT.at + timedelta(microseconds=1),
    "actor": "key_2",
    "account_id": None,
    "address": "192.0.2.8",
    "address_salt": b"sale",
    "address_commitment": None,
    "request_id": "",
    "operation": "keys.create",
    "subject": "key_3",
    "detail": {**EVENT.detail, "name": "u"},
    "hash": b"",
}


def chain_up(*events):
    """Return the events with their hashes, numbered from one."""
    made: list[AuditEvent] = []
    for number, event in enumerate(events, 1):
        numbered = replace(event, number=number)
        previous = made[-1].hash if made else FIRST_HASH
        made.append(replace(numbered, hash=compute_hash(previous, numbered)))
    return made


def test_the_text_has_the_form_of_jsonb():
    assert build_text(EVENT) == (
        '[1, 1782907200123456, "key_1", "acct_1", '
        f'"{sha256(b"salt192.0.2.7").hexdigest()}", "r1", "keys.update", "key_2", '
        '{"": {}, "é": [1, {"a": null, "c": -1000000000000000000000000000000, "bb": true}], '
        '"name": "ü"}]'
    )


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("field", OTHER)
def test_a_changed_field_is_found_and_its_event_is_named(field, place):
    events = chain_up(EVENT, EVENT, EVENT)
    changed = 7 if field == "number" else OTHER[field]
    events[place] = replace(events[place], **{field: changed})
    found = Chain().find_break(events)
    assert found is not None
    assert found.number in {place + 1, events[place].number}


def test_an_event_that_is_taken_out_or_put_in_is_found():
    first, second, third = chain_up(EVENT, EVENT, EVENT)
    assert Chain().find_break([first, second, third]) is None
    assert Chain().find_break([first, third]) == Break(2, "it is missing")
    assert Chain().find_break([first, first, second]) == Break(1, "it is out of place")
    (other,) = chain_up(replace(EVENT, subject="key_9"))
    assert Chain().find_break([other, second]) == Break(
        2, "it was changed, or the one before it was replaced"
    )


def test_a_chain_may_be_followed_from_any_place_on():
    first, second, third = chain_up(EVENT, EVENT, EVENT)
    chain = Chain(1, first.hash)
    assert chain.find_break([second]) is None
    assert chain.find_break([third]) is None
    assert (chain.number, chain.hash) == (3, third.hash)


def test_a_fraction_breaks_the_chain_because_it_has_no_single_text():
    (event,) = chain_up(EVENT)
    changed = replace(event, detail={"a": [1.0]})
    assert Chain().find_break([changed]) == Break(
        1, "it was changed, or the one before it was replaced"
    )


def test_an_address_may_end_but_not_change():
    (event,) = chain_up(EVENT)
    assert Chain().find_break([replace(event, address=None, address_salt=None)]) is None
    assert Chain().find_break([replace(event, address_salt=None)]) == Break(
        1, "its address was changed"
    )


def test_an_event_survives_its_line():
    (event,) = chain_up(EVENT)
    (without,) = chain_up(replace(EVENT, address=None, address_salt=None, address_commitment=None))
    for kept in (event, without):
        assert parse_line(json.dumps(build_line(kept))) == kept


@pytest.mark.parametrize(
    "change",
    [
        {"hash": None},
        {"hash": "xy"},
        {"at": 7},
        {"at": "yesterday"},
        {"at": "2026-07-01T12:00:00"},
        {"detail": 1.5},
        {"more": 1},
    ],
)
def test_a_line_that_is_no_event_is_refused(change):
    line = build_line(chain_up(EVENT)[0]) | change
    with pytest.raises(InvalidInputError, match="no event"):
        parse_line(json.dumps(line))


@pytest.mark.parametrize("text", ["", "[]", "{}", "7", "[" * 100_000, b"\xff"])
def test_what_is_no_line_at_all_is_refused(text):
    with pytest.raises(InvalidInputError, match="no event"):
        parse_line(text)
