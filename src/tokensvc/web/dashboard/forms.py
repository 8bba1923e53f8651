"""Forms: what was typed becomes the fields of an operation's request, and refusals go to fields."""

from __future__ import annotations

import re
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, Union, get_args, get_origin
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiDict, MultiDictProxy

from tokensvc.core.errors import (
    Fault,
    InvalidInputError,
    InvalidRequestError,
    VersionConflictError,
)
from tokensvc.core.strict_json import find_bad_character, parse_json
from tokensvc.operations.validation import refuse
from tokensvc.web.operations.body import read_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokensvc.core.errors import TokensvcError
    from tokensvc.operations.operation import Operation

MOST_BYTES: Final = 128 * 1024
_MOST_FIELDS: Final = 2000
_SECONDS: Final = 5.0
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}", re.ASCII)
_TYPE: Final = "application/x-www-form-urlencoded"

Form = MultiDictProxy[str]


@dataclass(frozen=True, slots=True)
class Typed:
    """What a form held, and why it was refused, for the page that shows it again.

    `error` is None if it was not refused.
    """

    form: Form
    error: TokensvcError | None = None

    def value(self, name: str, otherwise: object = "") -> str:
        """Return what was typed into a field, or what stood there before."""
        if name in self.form:
            return self.form[name]
        return "" if otherwise is None else str(otherwise)

    def holds(self, name: str, value: str, otherwise: object = ()) -> bool:
        """Tell whether a box of a group is ticked. `otherwise`: the ticked ones before."""
        if name in self.form:
            return value in self.form.getall(name)
        return value in otherwise if isinstance(otherwise, list | tuple | set) else False

    @property
    def is_stale(self) -> bool:
        """Whether somebody has changed the thing since the form was opened."""
        return isinstance(self.error, VersionConflictError)

    @property
    def faults(self) -> Mapping[str, str]:
        """What is wrong, by field; "" is what belongs to no field."""
        if self.error is None:
            return {}
        found: dict[str, str] = {}
        for fault in getattr(self.error, "faults", ()):
            found.setdefault(_find_field(fault), fault.detail)
        return found or {"": self.error.message}


NOTHING_TYPED: Final = Typed(MultiDictProxy(MultiDict()))


async def read_form(request: web.Request) -> Form:
    """Return the fields of a form that a page of ours has sent.

    Raises InvalidRequestError, ContentTooLargeError, HTTPRequestTimeout, HTTPUnsupportedMediaType.
    """
    body = await read_bytes(request, MOST_BYTES, _SECONDS)
    if body and request.content_type != _TYPE:
        raise web.HTTPUnsupportedMediaType
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError as error:
        raise InvalidRequestError("the body is not a form in UTF-8") from error
    faults = [
        Fault(f"/{name}", fault) for name, text in pairs if (fault := find_bad_character(text))
    ]
    if faults:
        raise refuse(faults)
    return MultiDictProxy(MultiDict(pairs))


def read_query(request: web.Request) -> dict[str, str]:
    """Return the parameters of an address. An empty one is absent; of several the last counts."""
    for name, value in request.query.items():
        if find_bad_character(name) or find_bad_character(value):
            raise InvalidRequestError("the address holds a character that cannot be stored")
    return {name: value for name, value in request.query.items() if value}


def build_values(operation: Operation, form: Form, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the fields of an operation's request as JSON has them.

    A field that the form lacks is absent. An empty one is null where that is allowed. Raises
    InvalidInputError.
    """
    values: dict[str, Any] = {}
    for name, info in operation.request.model_fields.items():
        if name in form and name not in without:
            values[name] = _read_field(name, info.annotation, form.getall(name))
    return values


def read_lines(texts: list[str]) -> list[str]:
    """Return what was typed into a list: a field that stands several times, or one entry a line."""
    return [line.strip() for text in texts for line in text.splitlines() if line.strip()]


def read_text(texts: list[str]) -> str:
    """Return what was typed into a field. Browsers end lines with two characters."""
    return texts[-1].replace("\r\n", "\n").strip()


def _read_field(name: str, annotation: Any, texts: list[str]) -> Any:  # noqa: ANN401 - JSON
    # A form holds texts. The model of the request says what they are in JSON.
    kind, takes_null = _find_kind(annotation)
    if kind is list:
        return read_lines(texts)
    text = read_text(texts)
    if kind is bool:
        return bool(text)
    if not text and takes_null:
        return None
    if kind is int:
        return int(text) if _NUMBER.fullmatch(text) else text  # the model says what is wrong
    return _read_object(name, text) if kind is dict else text


def _read_object(name: str, text: str) -> Any:  # noqa: ANN401 - JSON
    try:
        return parse_json(text.encode()) if text else {}
    except InvalidInputError as error:
        (fault,) = error.faults
        detail = fault.detail if fault.pointer else "it must be JSON"
        raise refuse([Fault(f"/{name}{fault.pointer}", detail)]) from None


def _find_kind(annotation: Any) -> tuple[type | None, bool]:  # noqa: ANN401 - a type
    """Return the Python type behind an annotation, and whether it takes null."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _find_kind(get_args(annotation)[0])
    if origin in {Union, types.UnionType}:
        inner = [each for each in get_args(annotation) if each is not types.NoneType]
        return _find_kind(inner[0])[0], len(inner) < len(get_args(annotation))
    return origin or annotation, False


def _find_field(fault: Fault) -> str:
    """Return the first name of a pointer: "/capabilities/0" and "#/name" are of a field each."""
    parts = fault.pointer.removeprefix("#").split("/")
    return parts[1] if len(parts) > 1 else ""
