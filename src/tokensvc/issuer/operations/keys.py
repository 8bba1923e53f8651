"""Operations that make and change API keys; `key_reading` has those that only show them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, cast

from tokensvc.issuer.admin import api_keys, key_rotation
from tokensvc.issuer.operations.call import check_visible
from tokensvc.issuer.operations.key_answers import build_key_answer, build_new_key
from tokensvc.issuer.operations.key_wishes import (
    build_changes,
    build_wish,
    check_admin_fields,
    find_life,
    find_longest,
)
from tokensvc.issuer.revoking.endings import end_key
from tokensvc.operations.key_models import DeletedKey
from tokensvc.store import api_key as table
from tokensvc.store.not_found import no_such_account, no_such_key

if TYPE_CHECKING:
    from tokensvc.core.api_key import ListedKey
    from tokensvc.core.denylist.record import Ending
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.key_models import (
        CreateKey,
        EndKey,
        RevokeKey,
        RotateKey,
        UpdateKey,
    )
    from tokensvc.operations.key_reading import Key, KeyRequest, NewKey


async def create(call: Call, request: CreateKey) -> NewKey:
    """Create an API key."""
    check_visible(call.principal.key_owner_of, request.account, no_such_account(request.account))
    check_admin_fields(call, request)
    made = await api_keys.create_key(
        call.changes,
        request.account,
        build_wish(call, request),
        prefix=call.settings.key_prefix,
        actor=call.actor,
        grantor=call.principal.grantor,
        most_keys=call.settings.keys_per_account,
    )
    return build_new_key(made)


async def update(call: Call, request: UpdateKey) -> Key:
    """Change a key."""
    await _check_own(call, request.id)
    check_admin_fields(call, request)
    if "expires_in" in request.model_fields_set:
        find_life(call, request)  # raises if it is longer than the policy allows
    changed, records = await api_keys.update_key(
        call.changes,
        request.id,
        build_changes(request),
        actor=call.actor,
        revoke_tokens=request.revoke_tokens,
        grantor=call.principal.grantor,
        most_keys=call.settings.keys_per_account,
        check=_check(call),
    )
    call.backend.remember(records)
    return build_key_answer(changed)


async def enable(call: Call, request: KeyRequest) -> Key:
    """Enable a key."""
    await _check_own(call, request.id)
    enabled = await api_keys.enable_key(
        call.changes,
        request.id,
        actor=call.actor,
        grantor=call.principal.grantor,
        check=_check(call),
    )
    return build_key_answer(enabled)


async def rotate(call: Call, request: RotateKey) -> NewKey:
    """Make a successor."""
    await _check_own(call, request.id)
    made = await key_rotation.rotate_key(
        call.changes,
        request.id,
        grace=timedelta(seconds=request.grace),
        prefix=call.settings.key_prefix,
        actor=call.actor,
        grantor=call.principal.grantor,
        most_keys=call.settings.keys_per_account,
        check=_check(call),
        longest=find_longest(call),
    )
    return build_new_key(made)


async def disable(call: Call, request: EndKey) -> Key:
    """Disable a key."""
    return await _end(call, "key_disabled", request.id, request.reason)


async def revoke(call: Call, request: RevokeKey) -> Key:
    """Revoke a key for good."""
    return await _end(
        call,
        "key_revoked",
        request.id,
        request.reason,
        keep_successors=request.keep_successors,
    )


async def revoke_tokens(call: Call, request: EndKey) -> Key:
    """Revoke the tokens that a key has got so far."""
    return await _end(call, "key_tokens_revoked", request.id, request.reason)


async def delete(call: Call, request: KeyRequest) -> DeletedKey:
    """Revoke a key and hide it."""
    await _check_own(call, request.id)
    ended = await end_key(
        call.database,
        request.id,
        "key_deleted",
        actor=call.actor,
        check=_check(call) if call.if_match else None,
    )
    call.backend.remember(ended.records)
    return DeletedKey(id=request.id)


async def _end(
    call: Call, ending: Ending, key_id: str, reason: str, *, keep_successors: bool = False
) -> Key:
    await _check_own(call, key_id)
    ended = await end_key(
        call.database,
        key_id,
        ending,
        actor=call.actor,
        reason=reason,
        # To compare versions takes a transaction; without that it is one statement (decision 0019).
        check=_check(call) if call.if_match else None,
        keep_successors=keep_successors,
    )
    call.backend.remember(ended.records)
    return build_key_answer(cast("ListedKey", ended.listed))


async def _check_own(call: Call, key_id: str) -> None:
    """Raise NotFoundError for a key of another account. A key never changes its account.

    This comes before anything else: the row of a key of others is not even locked.
    """
    seen = call.principal.key_owner_of
    if seen is not None:
        async with call.reading() as connection:
            listed = await table.load_api_key(connection, key_id)
        check_visible(seen, listed.record.account_id, no_such_key(key_id))


def _check(call: Call) -> api_keys.KeyCheck:
    """Return the check of a key whose row is locked: is it visible, is it the version wanted."""

    def check(listed: ListedKey) -> None:
        key = listed.record
        check_visible(call.principal.key_owner_of, key.account_id, no_such_key(key.id))
        call.check_version(build_key_answer(listed))

    return check
