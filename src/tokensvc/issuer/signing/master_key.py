"""The master key: read from where the settings say, proved on the signing keys, replaced.

It comes from a file (`keys/master.key` by default), from the environment (TOKENSVC_MASTER_KEY), or from systemd's credential folder.
Rotating writes the new key beside the old one, re-seals every signing key in one transaction, and only then puts the new one in the old
one's place. A rotation that was killed between these two steps is finished by the next start: whichever of the two opens the rows is right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from tokensvc.core.errors import InvalidInputError, StartRefusedError
from tokensvc.core.sealing import new_master_key, seal, unseal
from tokensvc.issuer.audit import record
from tokensvc.store.feed_head import bump_head
from tokensvc.store.keyfile import (
    find_master_key,
    next_path,
    parse_master_key,
    promote_next_master_key,
    write_master_key,
)
from tokensvc.store.signing_key import list_signing_keys, lock_rotation, reseal_signing_key

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tokensvc.core.keyring import SigningKeyRecord
    from tokensvc.core.sealing import MasterKey
    from tokensvc.core.token import SigningKey
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database

_log = structlog.get_logger(__name__)


def find_configured(settings: Settings) -> MasterKey | None:
    """Return the master key that the settings name, None if it is a file that is not there. Raises StartRefusedError."""
    if settings.master_key is not None:
        return parse_master_key(
            settings.master_key.get_secret_value().encode(), "TOKENSVC_MASTER_KEY"
        )
    return find_master_key(settings.master_key_path, is_credential=settings.is_credential)


def read_master_key(settings: Settings) -> MasterKey:
    """Return the master key as it is now. Raises StartRefusedError."""
    master_key = find_configured(settings)
    if master_key is None:
        raise _missing(settings, is_needed=True)
    return master_key


async def load_master_key(
    database: Database, settings: Settings, *, tolerate_changed: bool = False
) -> MasterKey:
    """Return the master key, proved on every usable signing key.

    Raises StartRefusedError if it is missing or the wrong one, or if the row of a signing key was
    changed. `tolerate_changed`: one key that it opens is proof enough, so that those that were
    changed can be revoked.
    """
    async with database.connection() as connection:
        sealed = [r for r in await list_signing_keys(connection) if r.revoked_at is None]
    master_key = find_configured(settings)
    if settings.master_key is None and (master_key is None or not opens_any(master_key, sealed)):
        following = find_master_key(next_path(settings.master_key_path))
        if following is not None and opens_any(following, sealed):
            promote_next_master_key(settings.master_key_path)
            _log.warning("master_key_rotation_finished", path=str(settings.master_key_path))
            return following
    if master_key is None:
        raise _missing(settings, is_needed=bool(sealed))
    if not (tolerate_changed and opens_any(master_key, sealed)):
        for sealed_record in sealed:
            unseal(sealed_record, master_key)
    return master_key


async def rotate_master_key(
    database: Database, settings: Settings, *, to: Path | None, actor: str
) -> Path:
    """Replace the master key and re-seal every signing key under the new one, all in one transaction; return the file of the new key.

    `to`: a new file for it. Left out, it takes the place of the old file, which stays beside it as `.old`: backups of the database from
    before need it. Raises InvalidInputError if there is no file to replace, StartRefusedError if the old key is not the right one.
    """
    if to is None and (settings.master_key is not None or settings.is_credential):
        raise InvalidInputError(
            "the master key does not come from a file that can be replaced: name a new file with --to, and hand that over"
        )
    old, new = await load_master_key(database, settings), new_master_key()
    path = next_path(settings.master_key_path) if to is None else to
    async with database.transaction() as connection:
        await lock_rotation(connection)
        keys = _unseal_all(await list_signing_keys(connection), old)
        # Only now: whoever rotated before has committed or failed, and `old` has been proved on what there is. The file of a key that
        # seals anything is never written over.
        write_master_key(path, new, replace=to is None)
        for key in keys:
            _, sealed = seal(key.private_key, key.alg, new)
            await reseal_signing_key(connection, key.kid, sealed)
        resealed = len(keys)
        await bump_head(connection, "signing_key")
        await record(connection, actor, "master_key.rotate", "master_key", signing_keys=resealed)
    if to is None:
        promote_next_master_key(settings.master_key_path)
        return settings.master_key_path
    return path


def _unseal_all(records: Iterable[SigningKeyRecord], master_key: MasterKey) -> list[SigningKey]:
    """Return every key that `master_key` opens. Raises StartRefusedError if one that may still sign is not among them."""
    keys = []
    for r in records:
        try:
            keys.append(unseal(r, master_key))
        except StartRefusedError:
            if r.revoked_at is None:
                raise
    return keys  # revoked ones of an earlier master key are left out: they are never used again


def opens_any(master_key: MasterKey, records: Iterable[SigningKeyRecord]) -> bool:
    """Tell whether `master_key` opens at least one of the keys.

    A rotation of the master key seals all of them anew, so one that opens proves it. That another
    one does not open means that its row was changed.
    """
    for r in records:
        try:
            unseal(r, master_key)
        except StartRefusedError:
            continue
        return True
    return False


def _missing(settings: Settings, *, is_needed: bool) -> StartRefusedError:
    return StartRefusedError(
        f"the master key file {settings.master_key_path} is missing"
        + (
            ", and the database holds signing keys that it sealed. Restore it from your backup"
            if is_needed
            else ""
        )
        + ", or point TOKENSVC_MASTER_KEY_FILE or TOKENSVC_KEYS_DIR at it"
    )
