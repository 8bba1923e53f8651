"""The operation by which an API key rotates itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tokensvc.core.errors import ForbiddenError
from tokensvc.issuer.admin.key_rotation import rotate_own_key
from tokensvc.issuer.operations.key_answers import build_new_key

if TYPE_CHECKING:
    from tokensvc.issuer.operations.call import Call
    from tokensvc.operations.key_models import RotateSelf
    from tokensvc.operations.key_reading import NewKey


async def rotate_self(call: Call, request: RotateSelf) -> NewKey:
    """Make a successor of the API key that is shown.

    A token does not suffice: one that was stolen would become a key, which lives much longer.
    """
    principal = call.principal
    if principal.key_id is None or not principal.by_key:
        raise ForbiddenError(
            "show the API key itself, as Bearer or Basic: a token cannot rotate its key",
            reason="key_not_shown",
        )
    made = await rotate_own_key(
        call.changes,
        principal.key_id,
        grace=timedelta(seconds=request.grace),
        prefix=call.settings.key_prefix,
        actor=call.actor,
        most_keys=call.settings.keys_per_account,
    )
    return build_new_key(made)
