"""Leaked API keys: how they are found in bytes, and what is kept of where they were found."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import quote

from tokensvc.core.api_key import KEY_LENGTH, parse_api_key
from tokensvc.core.errors import InvalidClientError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tokensvc.core.api_key import ApiKey
    from tokensvc.core.denylist.record import Ending

LeakPolicy = Literal["disable", "revoke"]

LEAK_ENDINGS: Final[Mapping[LeakPolicy, Ending]] = {
    "disable": "key_disabled",
    "revoke": "key_revoked",
}
MOST_REPORTED: Final = 1000  # in one report
_MOST_OF_URL: Final = 1000
_MOST_OF_SOURCE: Final = 100

_UNCLEAN: Final = re.compile(r"[^!-~]+")
# What stands between two characters of a text in UTF-8, UTF-16 and UTF-32.
_GAPS: Final = (b"", b"\0", b"\0\0\0")
# The longest form of a key in bytes: four bytes for each character.
LONGEST_FORM: Final = 4 * KEY_LENGTH


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """An API key that was found where it should not be.

    `url`: where that was; `source`: what kind of place it is. Both are empty if they are not known.
    """

    key: ApiKey = field(repr=False)
    url: str
    source: str


def build_leak(text: str, url: str, source: str, *, prefix: str) -> Leak | None:
    """Return what a report says; None if `text` is no API key, so that nobody need be asked.

    A report is never refused for what it says of the place: characters that are not visible ASCII
    are escaped as in a URL, and what is too long is cut.
    """
    try:
        key = parse_api_key(text, prefix)
    except InvalidClientError:
        return None
    return Leak(
        key=key,
        url=_clean(url)[:_MOST_OF_URL],
        source=_clean(source)[:_MOST_OF_SOURCE],
    )


def _clean(text: str) -> str:
    return _UNCLEAN.sub(lambda found: quote(found[0], safe="", errors="replace"), text.strip())


class KeyFinder:
    """Finds API keys in bytes, whatever stands around them.

    The text may be UTF-8 (or any other superset of ASCII), UTF-16 or UTF-32. Nothing need separate
    a key from the text around it, because the checksum tells a key from all else: of four billion
    texts that look like one, one passes.
    """

    def __init__(self, prefix: str) -> None:
        forms = []
        # A pattern begins and ends with a character, and only between two of them stand zero bytes.
        # So it finds both byte orders.
        for gap in _GAPS:
            begin = gap.join(bytes([byte]) for byte in prefix.encode("ascii"))
            rest = KEY_LENGTH - len(prefix)
            pattern = re.escape(begin) + b"(?:" + re.escape(gap) + b"[0-9A-Za-z]){%d}" % rest
            forms.append((begin, re.compile(pattern)))
        self._forms = tuple(forms)
        self._prefix = prefix

    def find(self, data: bytes) -> Iterator[tuple[int, ApiKey]]:
        """Yield where each key begins, and the key, form by form."""
        for begin, pattern in self._forms:
            if begin not in data:  # which is much faster than the pattern
                continue
            at = 0
            while (match := pattern.search(data, at)) is not None:
                text = match[0].replace(b"\0", b"").decode("ascii")
                try:
                    key = parse_api_key(text, self._prefix)
                except InvalidClientError:
                    # A key may begin within what only looked like one.
                    at = match.start() + 1
                else:
                    yield match.start(), key
                    at = match.end()
