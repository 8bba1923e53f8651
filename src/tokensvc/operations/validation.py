"""What a caller says becomes the request of an operation, or a refusal that points at the fault."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from tokensvc.core.errors import Fault, InvalidInputError
from tokensvc.core.strict_json import build_pointer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

    from tokensvc.operations.model import Model
    from tokensvc.operations.operation import Operation

MOST_FAULTS: Final = 20
_TEXTS: Final = {
    "extra_forbidden": "there is no such field",
    "missing": "it is required",
}


def build_model(operation: Operation, values: Mapping[str, Any]) -> Model:
    """Return the request of an operation.

    `values`: the fields as JSON has them; of an operation that only reads, as texts. Raises
    InvalidInputError with a fault for each wrong field.
    """
    model = operation.request
    try:
        if not operation.changes:
            return model.model_validate_strings(dict(values))
        # As JSON, because strictly read Python values may not be texts where moments are wanted.
        return model.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise refuse([_explain(detail) for detail in found[:MOST_FAULTS]]) from None


def refuse(faults: Sequence[Fault]) -> InvalidInputError:
    """Return the error for these faults."""
    first = faults[0]
    message = f"{first.pointer.removeprefix('#')}: {first.detail}"
    if len(faults) > 1:
        message += f" (and {len(faults) - 1} more)"
    return InvalidInputError(message, faults=faults)


def _explain(detail: ErrorDetails) -> Fault:
    text = _TEXTS.get(detail["type"]) or detail["msg"]
    return Fault(build_pointer(*detail["loc"]), text[0].lower() + text[1:])
