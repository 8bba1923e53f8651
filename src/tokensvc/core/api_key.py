"""The API key: its text, its digest, its states.

    tsk-    26 random base62 characters    6 base62 digits: CRC32 of all before them

These are 36 characters, whatever the prefix. The checksum stops typing errors and junk before they
reach Postgres. It proves nothing: the 155 random bits do. So long a secret needs no slow hash (ASVS
5.0, 6.5.2 and 11.5.1) and is stored as plain SHA-256. It never changes and is shown once; a hint is
kept for people.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from tokensvc.core.errors import InvalidClientError, InvalidInputError
from tokensvc.core.identifier import BASE62, new_base62
from tokensvc.core.limit import NO_LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tokensvc.core.identifier import AccountId, KeyId

DEFAULT_PREFIX: Final = "tsk-"

MAX_KEY_LIFE_SECONDS: Final = 36_600 * 86_400  # a hundred years

KEY_LENGTH: Final = 36
# 62 ** 6 is greater than 2 ** 32, so six digits hold every CRC32.
_CHECKSUM_LENGTH: Final = 6
_PREFIX: Final = re.compile(r"[A-Za-z0-9]{1,7}-")
_BODY: Final = re.compile(r"[0-9A-Za-z]+", re.ASCII)

KeyState = Literal["active", "disabled", "revoked", "expired"]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key whose checksum is right.

    `repr` leaves the text out, so that it never shows in a traceback or a log.
    """

    text: str = field(repr=False)
    digest: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Set `digest`, SHA-256 of the text: what Postgres stores and looks up."""
        object.__setattr__(self, "digest", hashlib.sha256(self.text.encode("ascii")).digest())

    @property
    def hint(self) -> str:
        """Prefix and last four characters, enough to recognise a key by."""
        return f"{self.text.partition('-')[0]}-...{self.text[-4:]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTerms:
    """What people say of a key, when they make it and later; a successor has the same.

    `audiences`: what its tokens may be for, empty for everything. `networks`: where it may be used
    (CIDR), empty for everywhere. `metadata`: notes of the owner, which enter no token. `claims`
    stand in each of its tokens. `self_rotation`: whether the key may rotate itself.
    """

    name: str
    capabilities: tuple[str, ...]
    description: str = ""
    limits: Limits = NO_LIMITS
    audiences: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)
    self_rotation: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRecord:
    """What is kept of an API key: facts with their times, and no secret.

    `minute_limit` and `day_limit` follow from the limits in `terms` and from tiers.
    `last_used_...` may be some seconds late. `made_by_predecessor`: the predecessor has rotated
    itself.
    """

    id: KeyId
    account_id: AccountId
    hint: str
    terms: KeyTerms
    created_at: datetime
    expires_at: datetime | None
    disabled_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    last_used_network: str | None
    last_used_audience: str | None
    minute_limit: int
    day_limit: int
    predecessor_id: KeyId | None
    successor_id: KeyId | None
    made_by_predecessor: bool = False


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key as people see it: its record, and its state at the moment `at` of Postgres's clock."""

    record: ApiKeyRecord
    state: KeyState
    at: datetime


def build_facts(key: ApiKeyRecord) -> dict[str, object]:
    """Return what the audit trail keeps of a key: facts, and no secret."""
    return {
        "account": key.account_id,
        "expires_at": None if key.expires_at is None else key.expires_at.isoformat(),
        "hint": key.hint,
        **asdict(key.terms),
        "capabilities": list(key.terms.capabilities),
        "audiences": list(key.terms.audiences),
        "networks": list(key.terms.networks),
        # As text, because numbers with a fraction have no single form in the chain of the trail.
        "metadata": json.dumps(key.terms.metadata, ensure_ascii=False, sort_keys=True),
        "claims": json.dumps(key.terms.claims, ensure_ascii=False, sort_keys=True),
    }


def check_prefix(prefix: str) -> str:
    """Return `prefix` if keys may begin with it. Raises InvalidInputError.

    A prefix that is longer than 8 characters would leave fewer than 131 random bits.
    """
    if not _PREFIX.fullmatch(prefix):
        raise InvalidInputError(
            f"the key prefix {prefix!r} must be 1 to 7 letters or digits and a hyphen, "
            f"like {DEFAULT_PREFIX!r}"
        )
    return prefix


def checksum(text: str) -> str:
    """Return the CRC32 of `text` (ASCII) as 6 base62 digits, the most significant first."""
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

    Raises InvalidClientError("malformed_key") if the length, the prefix, a character or the
    checksum is wrong.
    """
    # No comparison in constant time: anybody can compute the checksum of the characters before it,
    # so the time tells nothing.
    if (
        len(text) != KEY_LENGTH
        or not text.startswith(prefix)
        or not _BODY.fullmatch(text, len(prefix))
        or checksum(text[:-_CHECKSUM_LENGTH]) != text[-_CHECKSUM_LENGTH:]
    ):
        raise InvalidClientError("malformed_key")
    return ApiKey(text)


def looks_like_api_key(text: str) -> bool:
    """Tell whether `text` is an API key of some service, whatever its prefix is."""
    prefix = _PREFIX.match(text)
    if prefix is None:
        return False
    try:
        parse_api_key(text, prefix[0])
    except InvalidClientError:
        return False
    return True


def state_of(record: ApiKeyRecord, now: datetime) -> KeyState:
    """Return the state of a key at `now`. A final state hides a reversible one."""
    if record.revoked_at is not None:
        return "revoked"
    if record.expires_at is not None and record.expires_at <= now:
        return "expired"
    return "active" if record.disabled_at is None else "disabled"
