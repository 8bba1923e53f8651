"""Operations on API keys; `key_reading` has those that only show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.operations.key_models import (
    BatchKeys,
    BatchResult,
    CreateKey,
    DeletedKey,
    EndKey,
    RevokeKey,
    RotateKey,
    RotateSelf,
    UpdateKey,
)
from tokensvc.operations.key_reading import LIST, SHOW, Key, KeyRequest, NewKey
from tokensvc.operations.operation import ANYBODY, KEY_OWNERS, Operation

if TYPE_CHECKING:
    from tokensvc.operations.model import Model


def _act(name: str, summary: str, request: type[Model], path: str = "") -> Operation:
    return Operation(
        name=f"keys.{name}",
        method="POST",
        path=f"/v1/keys/{{id}}/{path or name}",
        summary=summary,
        needs=KEY_OWNERS,
        request=request,
        response=Key,
        has_version=True,
    )


OPERATIONS: Final = (
    Operation(
        name="keys.create",
        method="POST",
        path="/v1/keys",
        summary="Create an API key. It is shown this once.",
        needs=KEY_OWNERS,
        request=CreateKey,
        response=NewKey,
        status=201,
        idempotent_by_key=True,
        has_version=True,
    ),
    LIST,
    Operation(
        name="keys.batch",
        method="POST",
        path="/v1/keys/batch",
        summary="Disable, enable, revoke or change many keys.",
        needs=KEY_OWNERS,
        request=BatchKeys,
        response=BatchResult,
        is_bulk=True,
    ),
    Operation(
        name="keys.rotate-self",
        method="POST",
        path="/v1/keys/self/rotate",
        summary="Make a successor of the API key that is shown itself.",
        needs=ANYBODY,
        request=RotateSelf,
        response=NewKey,
        status=201,
        idempotent_by_key=True,
        has_version=True,
        is_for_holders=True,
    ),
    SHOW,
    Operation(
        name="keys.update",
        method="PATCH",
        path="/v1/keys/{id}",
        summary="Change a key.",
        needs=KEY_OWNERS,
        request=UpdateKey,
        response=Key,
        has_version=True,
    ),
    _act("disable", "Disable a key: it gets no tokens, and its tokens are revoked.", EndKey),
    _act("enable", "Enable a disabled key. Its tokens from before stay revoked.", KeyRequest),
    _act("revoke", "Revoke a key for good, with all its tokens.", RevokeKey),
    _act("revoke-tokens", "Revoke the tokens that a key has got so far.", EndKey),
    Operation(
        name="keys.rotate",
        method="POST",
        path="/v1/keys/{id}/rotate",
        summary="Make a successor with the same rights. It is shown this once.",
        needs=KEY_OWNERS,
        request=RotateKey,
        response=NewKey,
        status=201,
        idempotent_by_key=True,
        has_version=True,
    ),
    Operation(
        name="keys.delete",
        method="DELETE",
        path="/v1/keys/{id}",
        summary="Revoke a key and remove it from all lists.",
        needs=KEY_OWNERS,
        request=KeyRequest,
        response=DeletedKey,
        checks_version=True,
    ),
)
