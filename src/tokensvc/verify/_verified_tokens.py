"""Remembers verified tokens, so that the signature of each token is checked once.

A token is found by all of its bytes. It is kept together with the very key that verified it, not
with the name of that key. Not here: what is checked again each time, for example the expiry.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokensvc.core.claims import Claims
    from tokensvc.core.jwks import VerifyingKey


class VerifiedTokens:
    """The `most` tokens that were seen last. May be used from any thread."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._tokens: OrderedDict[str, tuple[Claims, VerifyingKey]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many tokens are remembered."""
        return len(self._tokens)

    def __contains__(self, token: str) -> bool:
        """Tell whether a token is remembered."""
        return token in self._tokens

    def find(self, token: str) -> tuple[Claims, VerifyingKey] | None:
        """Return the claims of a token and the key that verified it, None if it is not remembered.

        The token then counts as the one that was seen last.
        """
        with self._lock:
            known = self._tokens.get(token)
            if known is not None:
                self._tokens.move_to_end(token)
            return known

    def remember(self, token: str, claims: Claims, key: VerifyingKey) -> None:
        """Remember a token. If there are too many, the one not seen for longest is forgotten."""
        with self._lock:
            self._tokens[token] = (claims, key)
            if len(self._tokens) > self._most:
                self._tokens.popitem(last=False)

    def forget(self, token: str) -> None:
        """Forget a token."""
        with self._lock:
            self._tokens.pop(token, None)
