from __future__ import annotations

import hashlib
import json
import random
import re
import zlib
from datetime import timedelta

import pytest
from tests.factories import NOW, make_key_record

from tokensvc.core.api_key import (
    DEFAULT_PREFIX,
    ApiKey,
    KeyTerms,
    build_facts,
    check_prefix,
    checksum,
    new_api_key,
    parse_api_key,
    state_of,
)
from tokensvc.core.errors import InvalidClientError, InvalidInputError
from tokensvc.core.identifier import BASE62
from tokensvc.core.limit import Limits

BODY = "tsk-" + "0123456789ABCDEFGHIJKLMNOP"
KEY = BODY + checksum(BODY)


@pytest.mark.parametrize("prefix", [DEFAULT_PREFIX, "a-", "ACME123-"])
def test_a_key_has_36_characters_whatever_its_prefix(prefix):
    key = new_api_key(prefix)
    assert re.fullmatch(re.escape(prefix) + r"[0-9A-Za-z]+", key.text)
    assert len(key.text) == 36
    assert parse_api_key(key.text, prefix) == key


def test_keys_do_not_repeat():
    assert len({new_api_key().text for _ in range(1000)}) == 1000


def test_the_checksum_is_the_crc32_in_base62_with_leading_zeros():
    number = 0
    for digit in checksum(BODY):
        number = 62 * number + BASE62.index(digit)
    assert number == zlib.crc32(BODY.encode())
    assert checksum("") == "000000"


def test_every_single_character_typo_is_caught():
    alphabet = BASE62 + "-_ .\n\u00e9"
    for place in range(len(KEY)):
        for letter in alphabet:
            if letter != KEY[place]:
                with pytest.raises(InvalidClientError):
                    parse_api_key(KEY[:place] + letter + KEY[place + 1 :])


def test_every_swap_of_neighbours_is_caught():
    for place in range(len(KEY) - 1):
        swapped = KEY[:place] + KEY[place + 1] + KEY[place] + KEY[place + 2 :]
        if swapped != KEY:
            with pytest.raises(InvalidClientError):
                parse_api_key(swapped)


JUNK = {
    "empty": "",
    "short": KEY[:-1],
    "long": KEY + "0",
    "space": " " + KEY,
    "line break": KEY + "\n",
    "lower case": KEY.lower(),
    "no key": "x" * 36,
    "other prefix": KEY.replace("tsk-", "tsk_"),
    "not ASCII": "\u0661" * 36,
    "digits that are not ASCII": "tsk-" + "\u0661" * 32,
}


@pytest.mark.parametrize("text", JUNK.values(), ids=JUNK)
def test_t19_junk_is_refused_with_one_reason(text):
    with pytest.raises(InvalidClientError) as refusal:
        parse_api_key(text)
    assert refusal.value.reason == "malformed_key"


def test_t23_what_only_looks_like_a_key_is_told_from_one_by_its_checksum():
    some = random.Random(23)
    look_alikes = ("tsk-" + "".join(some.choices(BASE62, k=32)) for _ in range(200_000))
    assert [text for text in look_alikes if checksum(text[:30]) == text[30:]] == []


def test_a_key_of_another_prefix_is_refused():
    with pytest.raises(InvalidClientError):
        parse_api_key(new_api_key("acme-").text)


def test_only_the_digest_and_a_hint_leave_the_key():
    key = ApiKey(KEY)
    assert key.digest == hashlib.sha256(KEY.encode()).digest()
    assert key.hint == f"tsk-...{KEY[-4:]}"
    assert KEY[4:-4] not in key.hint
    assert KEY not in f"{key} {key!r}"


@pytest.mark.parametrize("prefix", ["a-", "tsk-", "1234567-"])
def test_a_prefix_of_one_to_seven_letters_or_digits_is_taken(prefix):
    assert check_prefix(prefix) == prefix


@pytest.mark.parametrize(
    "prefix", ["", "-", "tsk", "12345678-", "t_k-", "t-k-", "\u00e9-", "tsk-\n"]
)
def test_any_other_prefix_is_refused_by_name(prefix):
    with pytest.raises(InvalidInputError, match="the key prefix"):
        check_prefix(prefix)


EARLIER, LATER = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({}, "active"),
        ({"disabled_at": EARLIER}, "disabled"),
        ({"expires_at": LATER}, "active"),
        ({"expires_at": NOW}, "expired"),
        ({"expires_at": EARLIER}, "expired"),
        ({"expires_at": EARLIER, "disabled_at": EARLIER}, "expired"),
        ({"expires_at": LATER, "disabled_at": EARLIER}, "disabled"),
        ({"revoked_at": EARLIER}, "revoked"),
        ({"revoked_at": EARLIER, "expires_at": EARLIER, "disabled_at": EARLIER}, "revoked"),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(value) or "nothing",
)
def test_a_final_state_hides_a_reversible_one(facts, state):
    assert state_of(make_key_record(**facts), NOW) == state


@pytest.mark.parametrize(
    ("expires_at", "kept"),
    [(None, None), (NOW, "2026-11-23T12:00:00+00:00")],
    ids=["never", "once"],
)
def test_the_audit_trail_keeps_facts_that_json_can_say(expires_at, kept):
    limits = Limits(tier="free", per_minute=7)
    terms = KeyTerms(name="ci", capabilities=("orders:read",), limits=limits)
    record = make_key_record(expires_at=expires_at, terms=terms)
    facts = build_facts(record)
    assert facts == json.loads(json.dumps(facts))
    assert facts["expires_at"] == kept
    assert facts["limits"] == {"tier": "free", "per_minute": 7, "per_day": None}
