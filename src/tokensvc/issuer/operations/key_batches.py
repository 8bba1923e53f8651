"""The operation that does the same to many API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.core.errors import Fault, ForbiddenError, InvalidInputError
from tokensvc.issuer.admin import key_batches
from tokensvc.issuer.admin.key_chunks import BatchCaller, KeyOutcome
from tokensvc.issuer.operations.key_wishes import build_changes, check_admin_fields, find_life
from tokensvc.operations.key_models import BatchOutcome, BatchResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokensvc.core.denylist.record import Ending
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.key_models import BatchItem, BatchKeys

_ENDINGS: Final[Mapping[str, Ending]] = {"disable": "key_disabled", "revoke": "key_revoked"}


async def batch(call: Call, request: BatchKeys) -> BatchResult:
    """Do the same to many keys. What is refused for one does not touch the others."""
    _check_items(request)
    # What needs no look at the database is refused first, so that no row is locked for it.
    refused = _list_refused(call, request)
    items = [item for item in request.items if item.id not in refused]
    outcomes = refused | await _carry_out(call, request, items)
    return BatchResult(items=[_build(item.id, outcomes[item.id]) for item in request.items])


async def _carry_out(
    call: Call, request: BatchKeys, items: list[BatchItem]
) -> dict[str, KeyOutcome]:
    caller = BatchCaller(
        actor=call.actor,
        grantor=call.principal.grantor,
        owner=call.principal.key_owner_of,
        most_keys=call.settings.keys_per_account,
    )
    key_ids = [item.id for item in items]
    if request.act == "enable":
        return await key_batches.enable_keys(call.database, key_ids, caller=caller)
    if request.act == "update":
        changes = {
            item.id: build_changes(item.changes) for item in items if item.changes is not None
        }
        return await key_batches.update_keys(call.database, changes, caller=caller)
    return await key_batches.end_keys(
        call.database,
        _ENDINGS[request.act],
        key_ids,
        caller=caller,
        reason=request.reason,
        remember=call.backend.remember,
    )


def _check_items(request: BatchKeys) -> None:
    """Raise InvalidInputError if a key is named twice, or what is given does not fit the act."""
    faults, places = [], dict[str, int]()
    if request.reason and request.act not in _ENDINGS:
        # As alone: the audit trail says what was enabled or changed, and not why.
        text = f"a reason goes with disable and revoke, not with {request.act}"
        faults.append(Fault("/reason", text))
    for place, item in enumerate(request.items):
        first = places.setdefault(item.id, place)
        if first != place:
            text = f"this key is named twice: it is item {first} as well"
            faults.append(Fault(f"/items/{place}/id", text))
        if request.act == "update" and item.changes is None:
            faults.append(Fault(f"/items/{place}/changes", "update needs changes"))
        if request.act != "update" and item.changes is not None:
            text = f"changes go with update, not with {request.act}"
            faults.append(Fault(f"/items/{place}/changes", text))
    if faults:
        raise InvalidInputError(f"{faults[0].pointer}: {faults[0].detail}", faults=faults[:20])


def _list_refused(call: Call, request: BatchKeys) -> dict[str, KeyOutcome]:
    """Return the keys of which something is wanted that the caller may never do."""
    refused = {}
    for item in request.items:
        try:
            if item.changes is not None:
                check_admin_fields(call, item.changes)
                if "expires_in" in item.changes.model_fields_set:
                    find_life(call, item.changes)
        except (ForbiddenError, InvalidInputError) as error:
            refused[item.id] = KeyOutcome(None, error)
    return refused


def _build(key_id: str, outcome: KeyOutcome) -> BatchOutcome:
    error = outcome.error
    return BatchOutcome(
        id=key_id,
        done=error is None,
        state=None if outcome.listed is None else outcome.listed.state,
        code=None if error is None else error.code,
        detail=None if error is None else error.message,
    )
