"""The way of every call, whichever face it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tokensvc.issuer.operations.bindings import load_function
from tokensvc.issuer.operations.call import Call, find_version
from tokensvc.operations.rights import check_call

if TYPE_CHECKING:
    from tokensvc.core.limit import LimitStatus
    from tokensvc.issuer.operations.call import Backend
    from tokensvc.operations.model import Model
    from tokensvc.operations.operation import Operation
    from tokensvc.operations.rights import Principal


class Result(NamedTuple):
    """The answer, the version of the thing in it if it has one, and whether it is a repetition."""

    response: Model
    version: str | None
    is_repeated: bool = False


async def run_operation(
    backend: Backend,
    operation: Operation,
    principal: Principal,
    request: Model,
    *,
    if_match: frozenset[str] | None = None,
    idempotency_key: str | None = None,
    calls: LimitStatus | None = None,
) -> Result:
    """Carry out an operation.

    `idempotency_key`: how the caller names its request, if it does; operations that are not
    `idempotent_by_key` have no use for it. `calls`: what is left of the caller's limit. Raises
    InsufficientScopeError, InsufficientAuthenticationError, IdempotencyKeyReusedError, and what the
    function of the operation raises.
    """
    if operation.fresh and principal.shown_at is not None:
        # How long ago the key was shown is judged by Postgres's clock, which only this needs.
        async with backend.database.connection() as connection:
            now = await connection.fetchval("select clock_timestamp()")
    else:
        now = None
    check_call(operation, principal, now)
    call = Call(backend=backend, principal=principal, if_match=if_match, calls=calls)
    act = load_function(operation.name)
    is_repeated, key_id = False, principal.key_id
    if idempotency_key is not None and operation.idempotent_by_key and key_id is not None:
        # Imported here because it needs cryptography, and most calls do not.
        from tokensvc.issuer.operations.idempotency import (  # noqa: PLC0415
            NamedRequest,
            carry_out_once,
        )

        named = NamedRequest(operation, request, idempotency_key, key_id, principal.capabilities)
        response, is_repeated = await carry_out_once(call, named, lambda call: act(call, request))
    else:
        response = await act(call, request)
    version = find_version(response) if operation.has_version else None
    return Result(response, version, is_repeated)
