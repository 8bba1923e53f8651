from __future__ import annotations

import hashlib
import re
import zlib
from datetime import timedelta

import pytest
from tests.factories import NOW, make_key_record

from tokensvc.core.api_key import (
    DEFAULT_PREFIX,
    KEY_LENGTH,
    ApiKey,
    check_prefix,
    checksum,
    new_api_key,
    parse_api_key,
    state_of,
)
from tokensvc.core.errors import InvalidClientError, InvalidInputError
from tokensvc.core.identifier import BASE62

BODY = "tsk-" + "0123456789ABCDEFGHIJKLMNOP"
KEY = BODY + checksum(BODY)


@pytest.mark.parametrize("prefix", [DEFAULT_PREFIX, "a-", "ACME123-"])
def test_a_key_has_36_characters_whatever_its_prefix(prefix):
    key = new_api_key(prefix)
    assert re.fullmatch(re.escape(prefix) + r"[0-9A-Za-z]+", key.text)
    assert len(key.text) == KEY_LENGTH == 36
    assert parse_api_key(key.text, prefix) == key


def test_keys_do_not_repeat():
    assert len({new_api_key().text for _ in range(1000)}) == 1000


def test_the_checksum_is_the_crc32_in_base62_with_leading_zeros():
    digits = checksum(BODY)
    assert sum(
        BASE62.index(digit) * 62**place for place, digit in enumerate(reversed(digits))
    ) == zlib.crc32(BODY.encode())
    assert checksum("") == "000000"


def test_every_single_character_typo_is_caught():
    alphabet = BASE62 + "-_ .\n\u00e9"
    for place in range(KEY_LENGTH):
        for letter in alphabet:
            if letter != KEY[place]:
                with pytest.raises(InvalidClientError):
                    parse_api_key(KEY[:place] + letter + KEY[place + 1 :])


def test_every_swap_of_neighbours_is_caught():
    for place in range(KEY_LENGTH - 1):
        swapped = KEY[:place] + KEY[place + 1] + KEY[place] + KEY[place + 2 :]
        if swapped != KEY:
            with pytest.raises(InvalidClientError):
                parse_api_key(swapped)


@pytest.mark.parametrize(
    "text",
    [
        "",
        KEY[:-1],
        KEY + "0",
        " " + KEY,
        KEY + "\n",
        KEY.lower(),
        "x" * 36,
        KEY.replace("tsk-", "tsk_"),
        "\u0661" * 36,
        "tsk-" + "\u0661" * 32,
    ],
    ids=[
        "empty",
        "short",
        "long",
        "space",
        "line break",
        "lower case",
        "junk",
        "other prefix",
        "not ASCII",
        "digits that are not ASCII",
    ],
)
def test_junk_is_refused_with_one_reason(text):
    with pytest.raises(InvalidClientError) as refusal:
        parse_api_key(text)
    assert refusal.value.reason == "malformed_key"


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
def test_the_final_state_wins_over_the_reversible_ones(facts, state):
    assert state_of(make_key_record(**facts), NOW) == state
