"""The function of each operation, found by its name.

`keys.revoke-tokens` is `revoke_tokens` in `keys.py`. The modules are imported when they are wanted,
so that a command imports only what it needs.
"""

from __future__ import annotations

import keyword
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType

    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.model import Model

    Function = Callable[[Call, Any], Awaitable[Model]]

# The operations, or all those of a subject, whose module has another name.
_ELSEWHERE: Final = {
    "tokens": "revocations",
    "keys.rotate-self": "self_rotation",
    "keys.batch": "key_batches",
    "keys.list": "key_reading",
    "keys.show": "key_reading",
}
_TAKEN: Final = {"list"}  # a function of this name would hide Python's own


def load_module(name: str) -> ModuleType:
    """Return the module that carries out the operation `name`."""
    subject = name.partition(".")[0]
    module = _ELSEWHERE.get(name) or _ELSEWHERE.get(subject) or subject.replace("-", "_")
    return import_module(f"tokensvc.issuer.operations.{module}")


def load_function(name: str) -> Function:
    """Return what carries out the operation `name`. Raises LookupError."""
    verb = name.partition(".")[2].replace("-", "_")
    if verb in _TAKEN or keyword.iskeyword(verb):
        verb += "_"
    function = getattr(load_module(name), verb, None)
    if function is None:
        raise LookupError(f"there is no function for the operation {name}")
    return cast("Function", function)
