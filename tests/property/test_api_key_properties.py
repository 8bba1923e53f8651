from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tokensvc.core.api_key import ApiKey, checksum, parse_api_key
from tokensvc.core.errors import InvalidClientError
from tokensvc.core.identifier import BASE62

prefixes = st.from_regex(r"[A-Za-z0-9]{1,7}-", fullmatch=True)


@given(prefixes, st.data())
def test_every_well_formed_key_is_read_back(prefix, data):
    body = prefix + data.draw(st.text(BASE62, min_size=30 - len(prefix), max_size=30 - len(prefix)))
    text = body + checksum(body)
    key = parse_api_key(text, prefix)
    assert key == ApiKey(text)
    assert len(key.text) == 36


@given(
    st.text(max_size=50)
    | st.text(BASE62 + "-", min_size=36, max_size=36).map(lambda text: "tsk-" + text[4:])
)
def test_any_text_is_a_key_with_a_good_checksum_or_refused(text):
    try:
        key = parse_api_key(text)
    except InvalidClientError as refusal:
        assert refusal.reason == "malformed_key"  # noqa: PT017
    else:
        assert key.text == text
        assert checksum(text[:30]) == text[30:]
