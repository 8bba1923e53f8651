"""The audit trail of a `FakeIssuer`: only numbers and hashes, which tests may change."""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Final

from tokensvc.core.audit_chain import FIRST_HASH
from tokensvc.core.audit_claim import SAID_BYTES, AuditClaim
from tokensvc.core.audit_event import AuditHead

_SAID: Final = 50  # how many of the newest numbers are said


class FakeTrail:
    """Grows by an event with each revocation."""

    def __init__(self) -> None:
        self._hashes = [FIRST_HASH]
        self._longest = 0
        self.epoch = secrets.token_hex(16)

    def append(self) -> None:
        """Add an event."""
        self._hashes.append(sha256(self._hashes[-1] + secrets.token_bytes(16)).digest())
        self._longest = max(self._longest, len(self._hashes) - 1)

    def cut(self, number: int) -> None:
        """Lose all events after `number`."""
        del self._hashes[number + 1 :]

    def rewrite(self, number: int) -> None:
        """Change an event, and make all after it fit."""
        length = len(self._hashes)
        self.cut(number - 1)
        while len(self._hashes) < length:
            self.append()

    def declare_reset(self) -> None:
        """Begin a new epoch, as after a restored backup."""
        self.epoch = secrets.token_hex(16)
        self._longest = len(self._hashes) - 1
        self.append()

    @property
    def claim(self) -> AuditClaim:
        """What pages say of it."""
        number = len(self._hashes) - 1
        said = range(max(1, self._longest - _SAID), self._longest + 1)
        # What was cut off is said to be missing, as the service says of an event that it lacks.
        return AuditClaim(
            head=AuditHead(number, self._hashes[number], self.epoch),
            earlier={
                at: self._hashes[at][:SAID_BYTES] if at < number else None
                for at in said
                if at != number
            },
        )
