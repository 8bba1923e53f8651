"""Finding API keys in bytes, and what is kept of where they were found."""

from __future__ import annotations

import base64

import pytest

from tokensvc.core.api_key import new_api_key
from tokensvc.core.leak import KeyFinder, build_leak

FINDER = KeyFinder("tsk-")
KEY = new_api_key()


def find(data):
    return [(at, key.text) for at, key in FINDER.find(data)]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "latin-1", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
)
def test_a_key_is_found_in_every_usual_encoding(encoding):
    assert [text for _, text in find(f"xx {KEY.text} yy".encode(encoding))] == [KEY.text]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("n", ""),
        ("\\n", "\\n"),
        ("_", "-"),
        ("0", "a"),
        ("-", "-"),
        ("tsk-", "0" * 32),
        ("tsk-" + "0" * 29, ""),
    ],
)
def test_a_key_is_found_whatever_stands_around_it(before, after):
    assert find(f"{before}{KEY.text}{after}".encode()) == [(len(before), KEY.text)]


def test_two_keys_without_anything_between_them_are_both_found():
    other = new_api_key()
    assert find((KEY.text + other.text).encode()) == [(0, KEY.text), (36, other.text)]


@pytest.mark.parametrize(
    "text",
    [
        KEY.text[:-1],
        KEY.text[:-1] + ("0" if KEY.text[-1] != "0" else "1"),
        KEY.text.replace("-", "_"),
        KEY.text.upper(),
        "tsk-" + "0" * 32,
        base64.b64encode(KEY.text.encode()).decode(),
    ],
    ids=["short", "checksum", "underscore", "upper", "zeros", "base64"],
)
def test_what_is_no_key_is_not_found(text):
    assert find(text.encode()) == []


def test_another_prefix_has_other_keys():
    other = new_api_key("acme-")
    assert [key.text for _, key in KeyFinder("acme-").find(other.text.encode())] == [other.text]
    assert find(other.text.encode()) == []


def test_what_is_told_of_a_place_is_escaped_and_cut_and_never_refused():
    leak = build_leak(KEY.text, " https://x/ü\ud800\n", "a" * 200, prefix="tsk-")
    assert leak is not None
    assert (leak.url, leak.source) == ("https://x/%C3%BC%3F", "a" * 100)
    long = build_leak(KEY.text, "ü" * 1000, "", prefix="tsk-")
    assert long is not None
    assert len(long.url) == 1000
    assert KEY.text not in repr(leak)


def test_what_is_no_key_is_no_leak():
    assert build_leak("nonsense", "", "", prefix="tsk-") is None
