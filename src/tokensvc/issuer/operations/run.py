"""The way of every call, whichever face it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tokensvc.issuer.operations.bindings import BINDINGS
from tokensvc.issuer.operations.call import Call, find_version
from tokensvc.operations.authorisation import check_call

if TYPE_CHECKING:
    from tokensvc.issuer.operations.call import Backend
    from tokensvc.operations.authorisation import Principal
    from tokensvc.operations.model import Model
    from tokensvc.operations.operation import Operation


class Result(NamedTuple):
    """The answer, and the version of the thing in it if it has one."""

    response: Model
    version: str | None


async def run_operation(
    backend: Backend,
    operation: Operation,
    principal: Principal,
    request: Model,
    *,
    if_match: frozenset[str] | None = None,
) -> Result:
    """Carry out an operation.

    Raises InsufficientScopeError, InsufficientAuthenticationError, and what its function raises.
    """
    if operation.fresh and principal.shown_at is not None:
        async with backend.database.connection() as connection:
            now = await connection.fetchval("select clock_timestamp()")
    else:
        now = None
    check_call(operation, principal, now)
    call = Call(backend=backend, principal=principal, if_match=if_match)
    response = await BINDINGS[operation.name](call, request)
    return Result(response, find_version(response) if operation.has_version else None)
