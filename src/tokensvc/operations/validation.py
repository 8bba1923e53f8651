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
# What pydantic finds, in plain words, with the facts that it names.
_TEXTS: Final = {
    "bool_parsing": "it must be true or false",
    "bool_type": "it must be true or false",
    "dict_type": "it must be an object",
    "extra_forbidden": "there is no such field",
    "greater_than_equal": "it must be at least {ge}",
    "int_from_float": "it must be a whole number",
    "int_parsing": "it must be a whole number",
    "int_parsing_size": "it is too large",
    "int_type": "it must be a whole number",
    "less_than_equal": "it must be at most {le}",
    "list_type": "it must be a list",
    "literal_error": "it must be {expected}",
    "missing": "it is required",
    "model_type": "it must be an object",
    "string_too_long": "it has more than {max_length} characters",
    "string_too_short": "it must have at least {min_length} character(s)",
    "string_type": "it must be a text",
    "too_long": "it must have at most {max_length} members",
    "too_short": "it must have at least {min_length} member(s)",
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
        found = error.errors(include_url=False, include_input=False)
        raise refuse([_explain(detail) for detail in found[:MOST_FAULTS]]) from None


def refuse(faults: Sequence[Fault]) -> InvalidInputError:
    """Return the error for these faults."""
    first = faults[0]
    field = first.pointer.removeprefix("#")
    message = f"{field}: {first.detail}" if field else first.detail
    if len(faults) > 1:
        message += f" (and {len(faults) - 1} more)"
    return InvalidInputError(message, faults=faults)


def _explain(detail: ErrorDetails) -> Fault:
    text = _TEXTS.get(detail["type"])
    if text is None:
        text = detail["msg"][0].lower() + detail["msg"][1:]
    else:
        text = text.format_map(detail.get("ctx", {}))
    return Fault(build_pointer(*detail["loc"]), text)
