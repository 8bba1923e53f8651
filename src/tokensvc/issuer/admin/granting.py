"""What a caller may give to keys, judged by its own key as it is in this transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tokensvc.core.granting import check_names, check_standing, check_within, restrict_own_key
from tokensvc.store.api_key import find_standing, load_api_key

if TYPE_CHECKING:
    from collections.abc import Collection

    from tokensvc.core.api_key import ApiKeyRecord, ListedKey
    from tokensvc.core.granting import Grantor
    from tokensvc.store.pool import Connection


class Grant(NamedTuple):
    """What a caller may give: as much as `own` has, its own key; everything if that is None."""

    own: ApiKeyRecord | None

    def check(self, key: ListedKey) -> None:
        """Raise ForbiddenError if a key has more."""
        if self.own is not None:
            check_within(self.own, key.record)

    def check_names(self, capabilities: Collection[str], audiences: Collection[str]) -> None:
        """Raise ForbiddenError for names that the caller lacks, whether they exist or not."""
        if self.own is not None:
            check_names(self.own, capabilities, audiences)


async def load_grant(connection: Connection, grantor: Grantor | None) -> Grant:
    """Return what a caller may give; `grantor` is None for people at the machine itself.

    It is called when the row of the key that is to be changed is locked, and before the change: the
    key may be the caller's own. Raises ForbiddenError if the key of the caller has ended meanwhile.
    """
    if grantor is None:
        return Grant(None)
    listed, is_suspended = await find_standing(connection, grantor.key_id)
    check_standing(grantor, listed, is_suspended=is_suspended)
    own = None if grantor.is_admin or listed is None else listed.record
    return Grant(None if own is None else restrict_own_key(own, grantor))


async def check_still_held(
    connection: Connection, grant: Grant, changed: Collection[str] = ()
) -> None:
    """Raise ForbiddenError if the caller's own key has less than when `grant` was loaded.

    It comes after the audit trail, whose head is locked then: whoever took something from the key
    before us has committed, and whoever comes later finds what we have given. `changed`: the keys
    whose rows this transaction has locked, so nobody else can have changed those.
    """
    if grant.own is not None and grant.own.id not in changed:
        check_within((await load_api_key(connection, grant.own.id)).record, grant.own)
