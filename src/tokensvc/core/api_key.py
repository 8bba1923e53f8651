"""The API key: its text, its digest, its states.

    tsk-  26 random base62 characters  6 base62 characters of CRC32 over all before them        (36 characters in all)

The checksum stops typing errors and junk before they reach Postgres. It proves nothing: 155 random bits do. Such a secret needs no
slow hash (ASVS 5.0, 6.5.2 and 11.5.1): it is stored as plain SHA-256. The secret is immutable and shown once; only a hint stays.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from tokensvc.core.errors import InvalidClientError, InvalidInputError
from tokensvc.core.identifier import BASE62, new_base62

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.core.identifier import AccountId, KeyId
    from tokensvc.core.limit import Limits

KEY_LENGTH: Final = 36
DEFAULT_PREFIX: Final = "tsk-"
_CHECKSUM_LENGTH: Final = 6
_PREFIX = re.compile(r"[A-Za-z0-9]{1,7}-")
_BODY = re.compile(r"[0-9A-Za-z]+", re.ASCII)

KeyState = Literal["active", "disabled", "revoked", "expired"]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key whose checksum holds. Its text never shows in `repr`, so never in a traceback or a log."""

    text: str = field(repr=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the text: what Postgres stores and looks up."""
        return hashlib.sha256(self.text.encode("ascii")).digest()

    @property
    def hint(self) -> str:
        """Prefix and last four characters, enough to recognise a key by."""
        return f"{self.text.partition('-')[0]}-...{self.text[-4:]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRecord:
    """What is kept of an API key: facts with their times, no secret. States are computed from them.

    `limits` is what was set for it, `minute_limit` and `day_limit` what follows from that and from tiers. The last use is seconds late.
    """

    id: KeyId
    account_id: AccountId
    hint: str
    name: str
    description: str
    capabilities: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    disabled_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    last_used_network: str | None
    last_used_audience: str | None
    limits: Limits
    minute_limit: int
    day_limit: int
    predecessor_id: KeyId | None
    successor_id: KeyId | None


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key as people see it: what is kept of it, and its state at `at` by Postgres's clock."""

    record: ApiKeyRecord
    state: KeyState
    at: datetime


def build_facts(key: ApiKeyRecord) -> dict[str, object]:
    """Return what the audit trail keeps of a key. There is no secret in it."""
    return {
        "account": key.account_id,
        "name": key.name,
        "description": key.description,
        "capabilities": list(key.capabilities),
        "expires_at": None if key.expires_at is None else key.expires_at.isoformat(),
        "hint": key.hint,
        "limits": asdict(key.limits),
    }


def check_prefix(prefix: str) -> str:
    """Return `prefix` if keys may begin with it; a longer one would leave fewer than 131 random bits."""
    if not _PREFIX.fullmatch(prefix):
        raise InvalidInputError(
            f"the key prefix {prefix!r} must be 1 to 7 letters or digits and a hyphen, like {DEFAULT_PREFIX!r}"
        )
    return prefix


def checksum(text: str) -> str:
    """CRC32 of `text` (ASCII) as 6 base62 digits, most significant first."""
    number = zlib.crc32(text.encode("ascii"))
    digits = []
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, 62)
        digits.append(BASE62[digit])
    return "".join(reversed(digits))


def new_api_key(prefix: str = DEFAULT_PREFIX) -> ApiKey:
    """Return a fresh API key of exactly 36 characters."""
    body = prefix + new_base62(KEY_LENGTH - len(prefix) - _CHECKSUM_LENGTH)
    return ApiKey(body + checksum(body))


def parse_api_key(text: str, prefix: str = DEFAULT_PREFIX) -> ApiKey:
    """Return the API key that `text` is.

    Raises InvalidClientError("malformed_key") for junk: wrong length, prefix, characters or checksum.
    """
    if (
        len(text) != KEY_LENGTH
        or not text.startswith(prefix)
        or not _BODY.fullmatch(text, len(prefix))
        or checksum(text[:-_CHECKSUM_LENGTH]) != text[-_CHECKSUM_LENGTH:]
    ):
        raise InvalidClientError("malformed_key")
    return ApiKey(text)


def state_of(record: ApiKeyRecord, now: datetime) -> KeyState:
    """Return the state of a key at `now`; the final one wins over the reversible ones."""
    if record.revoked_at is not None:
        return "revoked"
    if record.expires_at is not None and record.expires_at <= now:
        return "expired"
    return "active" if record.disabled_at is None else "disabled"
