"""The way of every call, whichever face it comes from."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from tokensvc.core.errors import Fault, NotFoundError
from tokensvc.issuer.operations.bindings import load_function
from tokensvc.issuer.operations.call import Call, find_version
from tokensvc.operations.rights import check_call
from tokensvc.store.api_key import find_held

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

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
    counted_from: Mapping[str, str] = MappingProxyType({}),
    calls: LimitStatus | None = None,
) -> Result:
    """Carry out an operation.

    `idempotency_key`: how the caller names its request, if it does; operations that are not
    `idempotent_by_key` have no use for it. `counted_from`: what the caller said, by the fields of
    the request that were counted from it and the clock; a named request that says the same again is
    the same request, whatever those fields have become. `calls`: what is left of the caller's
    limit. Raises InsufficientScopeError, InsufficientAuthenticationError,
    IdempotencyKeyReusedError, and what the function of the operation raises.
    """
    principal, now = await _look_at_key(backend, operation, principal)
    check_call(operation, principal, now)
    call = Call(backend=backend, principal=principal, if_match=if_match, calls=calls)
    try:
        response, is_repeated = await _act(call, operation, request, idempotency_key, counted_from)
    except NotFoundError as error:
        error.faults = error.faults or _point_at(request, error)
        raise
    version = find_version(response) if operation.has_version else None
    return Result(response, version, is_repeated)


async def _look_at_key(
    backend: Backend, operation: Operation, principal: Principal
) -> tuple[Principal, datetime | None]:
    """Return a caller as its key is now, and Postgres's clock if that was asked.

    A token says what its key held when it was made, and lives for an hour. To change something, the
    key must still hold it. How long ago the key was shown is judged by the same look.
    """
    is_judged = operation.changes or operation.fresh
    if principal.key_id is None or principal.shown_at is None or not is_judged:
        return principal, None
    async with backend.database.connection() as connection:
        held, now = await find_held(connection, principal.key_id)
    return replace(principal, capabilities=principal.capabilities & held), now


async def _act(
    call: Call,
    operation: Operation,
    request: Model,
    idempotency_key: str | None,
    counted_from: Mapping[str, str],
) -> tuple[Model, bool]:
    """Return the answer, and whether it is that of an earlier request."""
    act = load_function(operation.name)
    key_id = call.principal.key_id
    if idempotency_key is not None and operation.idempotent_by_key and key_id is not None:
        # Imported here because it needs cryptography, and most calls do not.
        from tokensvc.issuer.operations.idempotency import (  # noqa: PLC0415
            NamedRequest,
            carry_out_once,
        )

        shown = call.principal.capabilities
        named = NamedRequest(operation, request, idempotency_key, key_id, shown, counted_from)
        return await carry_out_once(call, named, lambda call: act(call, request))
    return await act(call, request), False


def _point_at(request: Model, error: NotFoundError) -> tuple[Fault, ...]:
    """Return the field of a request that names what is not there, if one does."""
    if error.thing is None:
        return ()
    fields = [name for name, value in request if value == error.thing]
    return tuple(Fault(f"/{name}", error.message) for name in fields)
