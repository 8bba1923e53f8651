"""After os.fork(): objects repair themselves in the child, where only one thread lives on.

The threads of the parent are gone in the child, but what they held at that moment is still held:
locks stay locked, and exchanges that they ran never end.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_REPAIRS: weakref.WeakKeyDictionary[Any, Callable[[Any], None]] = weakref.WeakKeyDictionary()


def repair_in_children(owner: T, repair: Callable[[T], None]) -> None:
    """Call `repair(owner)` in every child that is forked while `owner` exists.

    `repair` must not refer to `owner`, or `owner` would never be freed: a method of its class is
    right, a bound method is not.
    """
    _REPAIRS[owner] = repair


def _repair_all() -> None:
    for owner, repair in list(_REPAIRS.items()):
        repair(owner)


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_repair_all)
