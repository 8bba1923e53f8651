"""The signing keys of this process: opened, with the one that signs now, and the JWKS.

The keys are a copy of the table, kept up by `issuer.mirror`. Nothing is signed with a copy that
Postgres has not confirmed for ten seconds.

A row that does not agree with the private key in it is refused: somebody who can write the database
must not be able to publish a key. What such a row says is neither published nor used. If this
process had opened the key before the row was changed, it goes on with what it had, so that the
change does not stop it. An error line and `tokensvc_signing_keys_refused` tell of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from tokensvc.core.algorithm import DEFAULT_ALGORITHM
from tokensvc.core.errors import StartRefusedError, UnavailableError
from tokensvc.core.jwks import build_jwks
from tokensvc.core.keyring import find_active, list_published, superseded_at
from tokensvc.core.sealing import unseal
from tokensvc.issuer.metrics import SIGNING_KEYS_REFUSED
from tokensvc.issuer.postgres_clock import MAX_AGE_SECONDS, build_stale_error
from tokensvc.issuer.signing.master_key import opens_any, read_master_key
from tokensvc.logs.logger import get_logger
from tokensvc.store.issuance import load_longest_life
from tokensvc.store.signing_key import list_signing_keys

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from tokensvc.core.audience import Audience
    from tokensvc.core.identifier import Kid
    from tokensvc.core.keyring import RotationPolicy, SigningKeyRecord
    from tokensvc.core.sealing import MasterKey
    from tokensvc.core.token import SigningKey
    from tokensvc.issuer.postgres_clock import PostgresClock
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Connection


_log = get_logger(__name__)


class Signers:
    """Says which signing key signs, and holds the document that publishes them all."""

    def __init__(
        self, settings: Settings, master_key: MasterKey, postgres_clock: PostgresClock
    ) -> None:
        self._settings = settings
        self.master_key = master_key
        self._postgres_clock = postgres_clock
        self._opened: dict[Kid, _Opened] = {}
        # By algorithm: from when, until when, which key. Kept because every exchange asks.
        self._active: dict[str, tuple[datetime | None, datetime | None, SigningKey]] = {}
        self.policy: RotationPolicy | None = None  # None before the first look
        self.records: tuple[SigningKeyRecord, ...] = ()
        self.jwks = b""
        self.jwks_etag = ""

    def find(self, alg: str, now: datetime) -> SigningKey:
        """Return the key that signs with `alg` at `now`.

        Raises UnavailableError if there is none, or if the copy is too old to tell.
        """
        if self._postgres_clock.age_seconds > MAX_AGE_SECONDS:
            raise build_stale_error()
        begin, end, key = self._active.get(alg, (None, None, None))
        # A key that signs before its begin, because clocks differ, is looked for each time.
        if key is not None and begin is not None and begin <= now and (end is None or now < end):
            return key
        record = find_active(self.records, alg, now)
        if record is None:
            raise UnavailableError(
                "there is no signing key in force", reason="no_signing_key", retry_after=5
            )
        key = self._opened[record.kid].key
        self._active[alg] = record.active_at, superseded_at(record, self.records), key
        return key

    def find_signer_for(self, audience: Audience, now: datetime) -> SigningKey:
        """Return the key that signs tokens for `audience` at `now`.

        It is of the audience's algorithm, or of the default one until there is a key of the other
        that may sign. Raises UnavailableError.
        """
        return self.find(self._choose_algorithm(audience.alg, now), now)

    def check(self, alg: str) -> None:
        """Raise UnavailableError if no token could be signed now for an audience of `alg`.

        As in `find_signer_for`, the default algorithm stands in for one that has no key yet.
        """
        # A key that was found once has a successor when it ends, and what changes the keys empties
        # `_active`. So its end need not be looked at.
        if alg in self._active and self._postgres_clock.age_seconds <= MAX_AGE_SECONDS:
            return
        now = self._postgres_clock.now
        self.find(self._choose_algorithm(alg, now), now)

    def _choose_algorithm(self, alg: str, now: datetime) -> str:
        if alg != DEFAULT_ALGORITHM and find_active(self.records, alg, now) is None:
            return DEFAULT_ALGORITHM
        return alg

    async def load_policy(self, connection: Connection) -> None:
        """Read again how long tokens may live: keys stay published accordingly."""
        self.policy = self._settings.rotation_policy(await load_longest_life(connection))

    async def load(self, connection: Connection) -> None:
        """Read the signing keys again and open them.

        Raises StartRefusedError if none opens, and then the copy stays as it was.
        """
        rows = await list_signing_keys(connection)
        await self.load_policy(connection)
        usable = [row for row in rows if row.revoked_at is None]
        opened, refused = self._open(usable)
        if refused and not opens_any(self.master_key, usable):
            self.master_key = read_master_key(self._settings)  # it has been rotated meanwhile
            opened, refused = self._open(usable)
            if not opens_any(self.master_key, usable):
                raise refused[0]
        for error in refused:
            _log.error("signing_key_refused", reason=error.reason, detail=error.message)
        SIGNING_KEYS_REFUSED.set(len(refused))
        # Revoked keys need not open: of them only the order counts, and that they are revoked.
        records = {row.kid: row for row in rows if row.revoked_at is not None}
        # Of the others only what this process has proved; a row that was refused is left out.
        records |= {kid: held.record for kid, held in opened.items()}
        self.records = tuple(records[row.kid] for row in rows if row.kid in records)
        self._opened, self._active = opened, {}

    def publish(self, now: datetime) -> None:
        """Build the JWKS again if time or a change has altered it."""
        if self.policy is None:
            return
        document = build_jwks(r.public_jwk for r in list_published(self.records, self.policy, now))
        if document != self.jwks:
            self.jwks, self.jwks_etag = document, hashlib.sha256(document).hexdigest()[:32]

    def _open(
        self, rows: Iterable[SigningKeyRecord]
    ) -> tuple[dict[Kid, _Opened], list[StartRefusedError]]:
        """Return the keys by `kid`, and why some rows were refused."""
        opened: dict[Kid, _Opened] = {}
        refused = []
        for row in rows:
            held = self._opened.get(row.kid)
            if held is not None and held.holds_key_of(row):
                opened[row.kid] = held._replace(record=row)
                continue
            try:
                opened[row.kid] = _Opened(row, unseal(row, self.master_key))
            except StartRefusedError as error:
                refused.append(error)
                # The key was opened before its row was changed. Of the row only the moment counts
                # at which it begins to sign: a rotation writes that without touching the rest.
                if held is not None:
                    opened[row.kid] = held._replace(
                        record=replace(held.record, active_at=row.active_at)
                    )
        return opened, refused


class _Opened(NamedTuple):
    """A row that agrees with its private key, and that key."""

    record: SigningKeyRecord
    key: SigningKey

    def holds_key_of(self, row: SigningKeyRecord) -> bool:
        """Tell whether a row still says what this key is.

        It may be sealed anew, under a master key that this process need not have.
        """
        return (row.alg, row.public_jwk) == (self.record.alg, self.record.public_jwk)
