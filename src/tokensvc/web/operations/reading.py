"""Path, query and body of an HTTP request become the one request of an operation.

A field stands in one place: in the path if the path names it, in the query of a GET request, else
in the body. Faults point at it there: `#/path/id`, `#/query/limit`, `#/capabilities/0`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.errors import Fault, InvalidInputError
from tokensvc.core.strict_json import build_pointer, find_bad_character
from tokensvc.operations.validation import build_model, refuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tokensvc.operations.model import Model
    from tokensvc.operations.operation import Operation

_MOST_PARAMETERS: Final = 50
_REPLACED: Final = "\ufffd"  # what stands where a URL was not UTF-8


def build_request(
    operation: Operation,
    *,
    path: Mapping[str, str],
    query: Sequence[tuple[str, str]],
    body: Mapping[str, Any],
) -> Model:
    """Return what the caller says. Raises InvalidInputError with a fault for each wrong field."""
    _check_texts("path", path.items())
    _check_texts("query", query)
    for name in path.keys() & body.keys():
        raise refuse([Fault(f"#{build_pointer(name)}", "it stands in the path already")])
    if operation.changes and query:
        where = f"#/query{build_pointer(query[0][0])}"
        raise refuse([Fault(where, "send it in the body, not in the URL: URLs end up in logs")])
    values = _build_parameters(query) if not operation.changes else body
    return build_model(operation, {**values, **path})


def place_fault(operation: Operation, fault: Fault) -> Fault:
    """Return a fault of the request of an operation as one of the HTTP request that said it."""
    if fault.pointer.startswith("#"):
        return fault
    names = fault.pointer.split("/")[1:]
    if names and names[0] in operation.path_parameters:
        return Fault(f"#/path{fault.pointer}", fault.detail)
    if names and not operation.changes:
        return Fault(f"#/query/{'.'.join(names)}", fault.detail)
    return Fault(f"#{fault.pointer}", fault.detail)


def _build_parameters(query: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the parameters of a query. `metadata.x=1` is the member x of metadata."""
    if len(query) > _MOST_PARAMETERS:
        raise InvalidInputError(
            f"a query has at most {_MOST_PARAMETERS} parameters", pointer="#/query"
        )
    built: dict[str, Any] = {}
    for name, value in query:
        group, dot, member = name.partition(".")
        members = built.setdefault(group, {}) if dot else built
        if not isinstance(members, dict):
            raise refuse([Fault(build_pointer(name), "there is no such field")])
        if (member or name) in members:
            raise refuse([Fault(build_pointer(name), "it stands twice")])
        members[member or name] = value
    return built


def _check_texts(place: str, texts: Iterable[tuple[str, str]]) -> None:
    for name, value in texts:
        fault = find_bad_character(name) or find_bad_character(value)
        if _REPLACED in name + value:
            fault = "it is not UTF-8"
        if fault is not None:
            raise refuse([Fault(f"#/{place}{build_pointer(name)}", fault)])
