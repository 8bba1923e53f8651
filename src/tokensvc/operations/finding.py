"""Finding one operation without importing the models of all others."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tokensvc.operations.operation import Operation

_ELSEWHERE: Final = {"audit-trail": "audit_events", "tokens": "revocations"}


def load_operation(name: str) -> Operation:
    """Return the operation `name`, like "keys.create". Raises LookupError."""
    subject = name.partition(".")[0]
    module = import_module(
        f"tokensvc.operations.{_ELSEWHERE.get(subject) or subject.replace('-', '_')}"
    )
    for operation in module.OPERATIONS:
        if operation.name == name:
            found: Operation = operation
            return found
    raise LookupError(f"there is no operation {name!r}")
