"""Tokens that have been verified, so that the signature of each is checked once. What is judged every time is for the verifier to know.

A token is remembered by all of its bytes, with the very key that it was verified with, never by that key's name.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokensvc.core.claims import Claims
    from tokensvc.core.jwks import VerifyingKey


class Memory:
    """The latest `most` tokens. For any thread."""

    def __init__(self, most: int) -> None:
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
        """Return what is known of a token, which is then the latest."""
        with self._lock:
            known = self._tokens.get(token)
            if known is not None:
                self._tokens.move_to_end(token)
            return known

    def keep(self, token: str, claims: Claims, key: VerifyingKey) -> None:
        """Remember a token, and forget the one that was not seen for longest."""
        with self._lock:
            self._tokens[token] = (claims, key)
            if len(self._tokens) > self._most:
                self._tokens.popitem(last=False)

    def forget(self, token: str) -> None:
        """Forget one token."""
        with self._lock:
            self._tokens.pop(token, None)
