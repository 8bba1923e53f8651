"""What the issuer says of its audit trail: where it ends, and which hashes its table holds.

Pages of the feed carry it as their claim `audit`, and `GET /v1/audit-heads` answers it. Followers
keep it and compare (`core/audit_witness.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.audit_event import AuditHead

if TYPE_CHECKING:
    from collections.abc import Mapping

# How many bytes of each earlier hash a claim holds. 128 bits are enough: nobody can make another
# event whose hash begins with the same ones.
SAID_BYTES: Final = 16
_FEW: Final = 8  # earlier hashes in a claim that was shortened
# Bounds for what a follower reads. The numbers fit into the 64 bits that Postgres has for them.
_MOST_EARLIER: Final = 1000
_MOST_DIGITS: Final = 18
_MOST_EPOCH: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditClaim:
    """Where the trail ends, and the beginnings of the hashes of earlier events.

    None instead of a hash: the table lacks that event, although no checkpoint has deleted it.
    """

    head: AuditHead
    earlier: Mapping[int, bytes | None] = field(default_factory=dict)


def shorten_claim(claim: AuditClaim) -> AuditClaim:
    """Return the claim with only the missing events and the newest hashes, for a short page."""
    newest = set(sorted(claim.earlier)[-_FEW:])
    earlier = {at: said for at, said in claim.earlier.items() if said is None or at in newest}
    return AuditClaim(head=claim.head, earlier=earlier)


def build_claim(claim: AuditClaim) -> dict[str, Any]:
    """Return the JSON object of a claim."""
    number, hash_, epoch = claim.head
    earlier = {str(at): said and said.hex() for at, said in claim.earlier.items()}
    return {"epoch": epoch, "number": number, "hash": hash_.hex(), "earlier": earlier}


def parse_claim(value: object) -> AuditClaim:
    """Return the claim that a JSON value holds. Raises ValueError for any other value."""
    try:
        return _parse_claim(value)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError("this is no claim about an audit trail") from error


def _parse_claim(value: Any) -> AuditClaim:  # noqa: ANN401 - whatever JSON holds
    number, epoch, earlier = value["number"], value["epoch"], value["earlier"]
    if len(earlier) > _MOST_EARLIER:
        raise ValueError("there are too many hashes")
    said = {_parse_number(at): _parse_hash(text) for at, text in earlier.items()}
    head = AuditHead(check_number(number), _hash(value["hash"], 32), check_epoch(epoch))
    return AuditClaim(head=head, earlier=said)


def check_number(value: object) -> int:
    """Return `value` if it is the number of an event, 0 before the first. Raises ValueError."""
    if type(value) is not int or not 0 <= value < 10**_MOST_DIGITS:
        raise ValueError("not the number of an event")
    return value


def check_epoch(value: object) -> str:
    """Return `value` if it has the form of an epoch. Raises ValueError."""
    if not isinstance(value, str) or not 0 < len(value) <= _MOST_EPOCH:
        raise ValueError("not an epoch")
    return value


def _parse_number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _MOST_DIGITS:
        raise ValueError("not the number of an event")
    return int(text)


def _parse_hash(text: str | None) -> bytes | None:
    return None if text is None else _hash(text, SAID_BYTES)


def _hash(text: str, size: int) -> bytes:
    if len(text) != 2 * size:
        raise ValueError(f"the hash must have {size} bytes")
    return bytes.fromhex(text)
