"""The function of each operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokensvc.issuer.operations import accounts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.model import Model

    Function = Callable[[Call, Any], Awaitable[Model]]

BINDINGS: Final[Mapping[str, Function]] = {
    "accounts.create": accounts.create,
    "accounts.show": accounts.show,
    "accounts.suspend": accounts.suspend,
    "accounts.delete": accounts.delete,
}
