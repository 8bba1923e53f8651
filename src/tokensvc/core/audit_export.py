"""The exported audit trail: lines of JSON, of which the first says where the others begin."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.audit_chain import Break, BrokenChainError, Chain, build_text
from tokensvc.core.audit_event import AuditEvent
from tokensvc.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

_ADDRESS_BYTES: Final = ("address_salt", "address_commitment")


def build_first_line(number: int, hash_: bytes, checkpoint: str | None) -> dict[str, Any]:
    """Return what an export begins with: the event before its first one.

    `checkpoint` is the signed text that says what its hash was, None if there is none.
    """
    return {"after": {"number": number, "hash": hash_.hex()}, "checkpoint": checkpoint}


def build_line(event: AuditEvent) -> dict[str, Any]:
    """Return an event as an object of JSON; bytes are in hex."""
    return {
        "number": event.number,
        "at": event.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": event.actor,
        "account_id": event.account_id,
        "address": event.address,
        "address_salt": write_hex(event.address_salt),
        "address_commitment": write_hex(event.address_commitment),
        "request_id": event.request_id,
        "operation": event.operation,
        "subject": event.subject,
        "detail": event.detail,
        "hash": event.hash.hex(),
    }


def parse_line(text: str | bytes) -> AuditEvent:
    """Return the event that a line of an export stands for. Raises InvalidInputError."""
    try:
        fields = json.loads(text)
        for name in _ADDRESS_BYTES:
            if fields[name] is not None:
                fields[name] = bytes.fromhex(fields[name])
        fields["hash"] = bytes.fromhex(fields["hash"])
        fields["at"] = datetime.fromisoformat(fields["at"])
        event = AuditEvent(**fields)
        # It raises for a detail that no event can have.
        build_text(event)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InvalidInputError("this is no event of an exported audit trail") from error
    return event


def check_export(lines: Iterable[str | bytes]) -> Chain:
    """Check every line of an export, one after another; return where its chain ends.

    Raises InvalidInputError if it does not begin like an export, and BrokenChainError, which names
    the first event that does not fit.
    """
    remaining = iter(lines)
    try:
        after = json.loads(next(remaining, ""))["after"]
        chain = Chain(int(after["number"]), bytes.fromhex(after["hash"]))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidInputError("this is no exported audit trail") from error
    for line in remaining:
        try:
            event = parse_line(line)
        except InvalidInputError as error:
            raise BrokenChainError(Break(chain.number + 1, "its line is no event")) from error
        chain.check([event])
    return chain


def write_hex(value: bytes | None) -> str | None:
    """Return bytes as they stand in JSON."""
    return None if value is None else value.hex()
