"""The master key: read from where the settings say, proved on the signing keys, replaced.

It comes from a file (`keys/master.key` by default), from the environment (TOKENSVC_MASTER_KEY), or
from systemd's credential folder.

A rotation writes the new key beside the old one, seals every signing key again in one transaction,
and only then puts the new file in the place of the old one. If it is killed between these two
steps, the next start finishes it: the right file is the one that opens the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.core.errors import InvalidInputError, StartRefusedError
from tokensvc.core.notices.endpoint import build_secret_context
from tokensvc.core.sealing import new_master_key, seal, seal_text, unseal, unseal_text
from tokensvc.issuer.audit import record
from tokensvc.logs.logger import get_logger
from tokensvc.store.feed_head import bump_head
from tokensvc.store.keyfile import (
    find_master_key,
    next_path,
    parse_master_key,
    promote_next_master_key,
    write_master_key,
)
from tokensvc.store.notice_endpoint import SealedSecrets, list_sealed_secrets, reseal_secrets
from tokensvc.store.signing_key import list_signing_keys, lock_rotation, reseal_signing_key

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tokensvc.core.actor import Actor
    from tokensvc.core.keyring import SigningKeyRecord
    from tokensvc.core.sealing import MasterKey
    from tokensvc.core.token import SigningKey
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection, Database

_log = get_logger(__name__)


def find_configured(settings: Settings) -> MasterKey | None:
    """Return the master key that the settings name, None if it is a file that is not there.

    Raises StartRefusedError if it is no master key, or others can read it.
    """
    if settings.master_key is not None:
        text = settings.master_key.get_secret_value().encode()
        return parse_master_key(text, "TOKENSVC_MASTER_KEY")
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
        # A rotation has sealed the keys anew, and was killed before it could replace the file.
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


def find_current(
    settings: Settings, master_key: MasterKey, records: Iterable[SigningKeyRecord]
) -> MasterKey:
    """Return the master key that opens the signing keys as they are now.

    This is `master_key`, or the one that took its place since that was read. Ask while the rotation
    lock is held: otherwise a new key might be sealed under a master key that is replaced at the
    same time. Raises StartRefusedError.
    """
    usable = [r for r in records if r.revoked_at is None]
    if usable and not opens_any(master_key, usable):
        master_key = read_master_key(settings)
        if not opens_any(master_key, usable):
            # It does not open, so this raises and says which key that is.
            unseal(usable[0], master_key)
    return master_key


async def rotate_master_key(
    database: Database, settings: Settings, *, to: Path | None, actor: Actor
) -> Path:
    """Replace the master key, and seal every signing key again under the new one, all at once.

    `to`: a new file for the new master key. None: it takes the place of the old file, which is kept
    beside it as `.old`, because older backups of the database need it.

    Returns the file of the new key. Raises InvalidInputError if there is no file to replace,
    StartRefusedError if the old key is not the right one.
    """
    if to is None and (settings.master_key is not None or settings.is_credential):
        raise InvalidInputError(
            "the master key does not come from a file that can be replaced: "
            "name a new file with --to, and hand that over"
        )
    old, new = await load_master_key(database, settings), new_master_key()
    path = next_path(settings.master_key_path) if to is None else to
    async with database.transaction() as connection:
        await lock_rotation(connection)
        keys = _unseal_all(await list_signing_keys(connection), old)
        # Not before: another rotation has committed or failed by now, and `old` opens every key
        # that there is. So no file is written over whose key still seals something.
        write_master_key(path, new, replace=to is None)
        for key in keys:
            _, sealed = seal(key.private_key, key.alg, new)
            await reseal_signing_key(connection, key.kid, sealed)
        await _reseal_secrets(connection, old, new)
        await record(connection, actor, "master-key.rotate", "master_key", signing_keys=len(keys))
        await bump_head(connection, "signing_key")
    if to is None:
        promote_next_master_key(settings.master_key_path)
        return settings.master_key_path
    return path


async def _reseal_secrets(connection: Connection, old: MasterKey, new: MasterKey) -> None:
    """Seal the secrets of the endpoints of notices again.

    One that `old` does not open is left: its row was changed, and it signs nothing.
    """
    for secrets in await list_sealed_secrets(connection):
        context = build_secret_context(secrets.id)
        present = _reseal(secrets.sealed_secret, context, old, new)
        before = secrets.old_sealed_secret
        if present is not None:
            earlier = None if before is None else _reseal(before, context, old, new)
            await reseal_secrets(connection, SealedSecrets(secrets.id, present, earlier))


def _reseal(sealed: bytes, context: str, old: MasterKey, new: MasterKey) -> bytes | None:
    text = unseal_text(sealed, context, old)
    return None if text is None else seal_text(text, context, new)


def _unseal_all(records: Iterable[SigningKeyRecord], master_key: MasterKey) -> list[SigningKey]:
    """Return every signing key that `master_key` opens.

    Revoked ones that an earlier master key sealed are left out: they are never used again. Raises
    StartRefusedError if a key that may still sign does not open.
    """
    keys = []
    for r in records:
        try:
            keys.append(unseal(r, master_key))
        except StartRefusedError:
            if r.revoked_at is None:
                raise
    return keys


def opens_any(master_key: MasterKey, records: Iterable[SigningKeyRecord]) -> bool:
    """Tell whether `master_key` opens at least one of the keys.

    A rotation of the master key seals all of them anew, so one that opens proves it. That another
    one does not open means that its row was changed.
    """
    return any(opens(record, master_key) for record in records)


def opens(record: SigningKeyRecord, master_key: MasterKey) -> bool:
    """Tell whether `master_key` opens a signing key."""
    try:
        unseal(record, master_key)
    except StartRefusedError:
        return False
    return True


def _missing(settings: Settings, *, is_needed: bool) -> StartRefusedError:
    why = ", and the database holds signing keys that it sealed. Restore it from your backup"
    return StartRefusedError(
        f"the master key file {settings.master_key_path} is missing{why if is_needed else ''}"
        ", or point TOKENSVC_MASTER_KEY_FILE or TOKENSVC_KEYS_DIR at it"
    )
