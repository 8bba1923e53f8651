"""Which keys may not be used for everything and from everywhere, as far as this process knows.

Most keys may. So a question about a key names neither the audience nor the address of the client,
and all requests of that key are alike. If the key is restricted, Postgres says that these facts are
missing, and the question is put again with them. What is remembered here saves that first question
the next time. Nothing is decided by it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

_MOST: Final = 20_000


class RestrictedKeys:
    """The audiences that restricted keys may ask for, by the SHA-256 of the key.

    The list is empty if a key is only restricted to networks. Of the `most` keys that are
    remembered, the one that was found longest ago goes first.
    """

    def __init__(self, *, most: int = _MOST) -> None:
        self._most = most
        self._audiences: OrderedDict[bytes, tuple[str, ...]] = OrderedDict()

    def find(self, digest: bytes) -> tuple[str, ...] | None:
        """Return the list of a key, None if it is not known to be restricted."""
        return self._audiences.get(digest)

    def learn(self, digest: bytes, audiences: tuple[str, ...] | None) -> None:
        """Remember what Postgres says of a key; None: it is not restricted."""
        if audiences is None:
            # Many services have no restricted key at all, and this is called for every exchange.
            if self._audiences:
                self._audiences.pop(digest, None)
            return
        self._audiences[digest] = audiences
        self._audiences.move_to_end(digest)
        if len(self._audiences) > self._most:
            self._audiences.popitem(last=False)
