"""A form that shows a thing as it no longer is: what stands there now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.errors import InvalidInputError
from tokensvc.core.strict_json import parse_json
from tokensvc.web.dashboard.forms import read_lines, read_text

if TYPE_CHECKING:
    from tokensvc.operations.model import Model
    from tokensvc.web.dashboard.forms import Form

_MISSING: Final = object()


def list_differences(form: Form, thing: Model) -> list[tuple[str, str]]:
    """Return (field, what stands there now) where a form and a thing do not say the same."""
    found = []
    # A list stands in a form as several fields of one name.
    for name in dict.fromkeys(form):
        # An empty limit in a form means that of the tier; the thing's own one is `own_...`.
        now = getattr(thing, f"own_{name}", getattr(thing, name, _MISSING))
        if now is not _MISSING and _read(now, form.getall(name)) != now:
            found.append((name, _write(now)))
    return found


def _read(now: Any, texts: list[str]) -> Any:  # noqa: ANN401 - a field of a model
    """Return what was typed, as far as it is like what stands there now."""
    if isinstance(now, list):
        typed = read_lines(texts)
        return now if sorted(typed) == sorted(now) else typed
    text = read_text(texts)
    if isinstance(now, bool):
        return bool(text)
    if isinstance(now, dict):
        try:
            return parse_json(text.encode() or b"{}")
        except InvalidInputError:
            return text
    if now is None:
        return text or None
    return now if text == str(now) else text


def _write(now: Any) -> str:  # noqa: ANN401 - a field of a model
    if isinstance(now, bool):
        return "yes" if now else "no"
    if isinstance(now, list):
        return ", ".join(now) or "nothing"
    if isinstance(now, dict):
        return json.dumps(now) if now else "nothing"
    return "nothing" if now in {None, ""} else str(now)
