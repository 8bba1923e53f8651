"""Reading JSON that a stranger sent: strictly, so that every reader understands the same.

RFC 8259 leaves open what a repeated name means, and I-JSON (RFC 7493) forbids it. A NUL cannot be
stored by Postgres, and a lone surrogate is no text. Infinite numbers are no JSON.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NoReturn

from tokensvc.core.errors import Fault, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_DEEP: Final = 20
MOST_NAMES: Final = 1000  # in one object

# What is refused in the end must not cost much before, and each value costs as much as many bytes
# of a text. So many may be in any body, and one more in so many bytes. Commas in texts count too.
_ALWAYS_ALLOWED: Final = 5000
_BYTES_OF_VALUE: Final = 10
_BYTES_OF_CONTAINER: Final = 50
# How a NUL and one half of a pair of surrogates are written.
# Neither of them can stand in JSON otherwise.
_ESCAPED: Final = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")

_ESCAPES: Final = str.maketrans({"~": "~0", "/": "~1"})
_MOST_OF_A_NAME: Final = 100


class _Repeated(dict[str, Any]):
    """An object in which `name` stands twice."""

    name: str


def parse_json(body: bytes) -> Any:  # noqa: ANN401 - whatever was sent
    """Return the value that `body` is.

    Raises InvalidInputError, which points at what is wrong.
    """
    _check_number(body, b",", _BYTES_OF_VALUE, "values")
    _check_number(body, b"[{", _BYTES_OF_CONTAINER, "lists and objects")
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_build_object,
            parse_float=_parse_float,
            parse_constant=_refuse_constant,
        )
    except RecursionError as error:
        raise _refuse("", f"the JSON is nested more than {MOST_DEEP} deep") from error
    except ValueError as error:  # no UTF-8, no JSON, a number that is too long
        raise _refuse("", "the body is no JSON in UTF-8") from error
    check_json(value, has_escapes=_ESCAPED.search(body) is not None)
    return value


def _check_number(body: bytes, signs: bytes, bytes_of_one: int, what: str) -> None:
    most = _ALWAYS_ALLOWED + len(body) // bytes_of_one
    if sum(body.count(sign) for sign in signs) > most:
        raise _refuse("", f"a body of this size holds at most {most} {what}")


def build_pointer(*names: str | int) -> str:
    """Return the JSON pointer (RFC 6901) to what is found by `names`, one below the other."""
    return "".join(
        "/" + str(name)[:_MOST_OF_A_NAME].translate(_ESCAPES).encode("utf-8", "replace").decode()
        for name in names
    )


def find_bad_character(text: str) -> str | None:
    """Return what is wrong with a text, None if every store and reader can hold it."""
    if "\0" in text:
        return "it holds a NUL character"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "it holds a lone surrogate, which is no character"
    return None


def check_json(value: object, *, has_escapes: bool = True) -> None:
    """Raise InvalidInputError for what no store or reader of ours can hold.

    That is a name that stands twice, as `parse_json` marks it, a NUL, a lone surrogate, and what is
    nested too deep or has too many names. `has_escapes`: whether a text may hold such characters.
    """
    if isinstance(value, str):
        _check_text((), value)
    # Without recursion: how deep it may be is found out here.
    waiting: list[tuple[tuple[str | int, ...], object]] = [((), value)]
    while waiting:
        names, inner = waiting.pop()
        for name, item in _list_members(names, inner, has_escapes=has_escapes):
            if isinstance(item, (dict, list)):
                if len(names) >= MOST_DEEP - 1:
                    # The outermost name is enough to find it.
                    where = build_pointer(*names[:1] or (name,))
                    raise _refuse(where, f"it is nested more than {MOST_DEEP} deep")
                waiting.append(((*names, name), item))
            elif has_escapes and isinstance(item, str) and find_bad_character(item) is not None:
                _check_text((*names, name), item)


def _list_members(
    names: tuple[str | int, ...], inner: object, *, has_escapes: bool
) -> Iterable[tuple[str | int, object]]:
    """Return what is in a list or an object, by index or name, after a look at the names."""
    if not isinstance(inner, dict):
        return enumerate(inner) if isinstance(inner, list) else ()
    # The parser knows no path, so it only marks such an object, and it is refused here.
    if isinstance(inner, _Repeated):
        raise _refuse(build_pointer(*names, inner.name), "the name stands twice in its object")
    if len(inner) > MOST_NAMES:
        raise _refuse(build_pointer(*names), f"an object has at most {MOST_NAMES} names")
    for name in inner if has_escapes else ():
        _check_text((*names, name), name)
    return inner.items()


def _check_text(names: tuple[str | int, ...], text: str) -> None:
    fault = find_bad_character(text)
    if fault is not None:
        raise _refuse(build_pointer(*names), fault)


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # A name that stands twice is rare: only then is it looked for.
    built = dict(pairs)
    if len(built) == len(pairs):
        return built
    repeated = _Repeated(built)
    counts = Counter(name for name, _ in pairs)
    repeated.name = next(name for name, count in counts.items() if count > 1)
    return repeated


def _parse_float(text: str) -> float:
    # Python reads 1e999 as infinity, and would write it as a word that is no JSON.
    number = float(text)
    if math.isinf(number):
        raise ValueError("the number is too large")
    return number


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _refuse(pointer: str, detail: str) -> InvalidInputError:
    message = detail if not pointer else f"{pointer}: {detail}"
    return InvalidInputError(message, reason="malformed_json", faults=[Fault(pointer, detail)])
