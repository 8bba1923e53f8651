"""Finding one operation without importing the models of all others."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tokensvc.operations.operation import Operation

# The operations, or all those of a subject, that stand in a module of another name.
_ELSEWHERE: Final = {
    "audit-trail": "audit_events",
    "tokens": "revocations",
    "keys.list": "key_reading",
    "keys.show": "key_reading",
}


def load_operation(name: str) -> Operation:
    """Return the operation `name`, like "keys.create". Raises LookupError."""
    subject = name.partition(".")[0]
    place = _ELSEWHERE.get(name) or _ELSEWHERE.get(subject) or subject.replace("-", "_")
    module = import_module(f"tokensvc.operations.{place}")
    for operation in module.OPERATIONS:
        if operation.name == name:
            found: Operation = operation
            return found
    raise LookupError(f"there is no operation {name!r}")
