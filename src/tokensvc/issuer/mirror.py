"""This process's copy of the three small tables that are asked for all the time: signing keys, denylist, audiences.

The tables are the truth. Their heads (`feed_head`) are polled twice a second and after every wake-up; what has changed is read again. So
JWKS, metadata and feed are answered from memory, and a process that lost its listener is late by half a second, no more.

If the table has lost entries of the denylist that this copy holds (a failover, a restored backup), they are written again before the copy
follows the table: see `issuer.healing`. Until that is done the copy counts as not confirmed.

The copy knows when Postgres confirmed it last. A feed page claims no fresher time than that, and nothing is signed with keys that have
not been confirmed for ten seconds.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog

from tokensvc.core.denylist import DenylistLog, Position
from tokensvc.core.errors import StartRefusedError, TokensvcError, UnavailableError
from tokensvc.core.healing import find_lost, has_gone_back
from tokensvc.core.jwks import build_jwks
from tokensvc.core.keyring import DEFAULT_ALGORITHM, find_active, published, superseded_at
from tokensvc.core.sealing import unseal
from tokensvc.issuer.healing import heal
from tokensvc.issuer.master_key import read_master_key
from tokensvc.issuer.metrics import DENYLIST_RESETS
from tokensvc.store.audience import list_audiences
from tokensvc.store.denylist import find_tag, list_after
from tokensvc.store.feed_head import list_heads
from tokensvc.store.issuance import load_longest_life
from tokensvc.store.listen import listen
from tokensvc.store.signing_key import list_signing_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tokensvc.core.denylist import DenylistRow
    from tokensvc.core.exchange import Audience
    from tokensvc.core.identifier import Kid
    from tokensvc.core.keyring import RotationPolicy, SigningKeyRecord
    from tokensvc.core.sealing import MasterKey
    from tokensvc.core.token import SigningKey
    from tokensvc.settings import Settings
    from tokensvc.store.feed_head import Topic
    from tokensvc.store.pool import Connection, Database

POLL_SECONDS: Final = 0.5
FRESH_SECONDS: Final = 3.0  # a copy older than that proves no freshness to anybody outside
MAX_AGE_SECONDS: Final = 10.0
_RECONNECT_SECONDS: Final = 1.0
_COLLECTED_EARLY_SECONDS: Final = (
    30.0  # another process's clock may collect an entry a little before its end
)
_DATES: Final = 1000

_log = structlog.get_logger(__name__)


class Mirror:
    """Copies of signing keys, denylist and audiences, kept up by `run`."""

    def __init__(self, database: Database, settings: Settings, master_key: MasterKey) -> None:
        self._database = database
        self._settings = settings
        self._master_key = master_key
        self._heads: dict[Topic, Position] = {}
        self._confirmed_at: datetime | None = None
        self._confirmed_on = 0.0  # the monotonic clock at that moment
        self._opened: dict[Kid, SigningKey] = {}
        self._signers: dict[
            str, tuple[datetime | None, datetime | None, SigningKey]
        ] = {}  # by algorithm: from, until, which
        self._policy: RotationPolicy | None = None
        self._refreshing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._acknowledged: list[DenylistRow] = []  # by this process, and not read back yet
        self._changed = asyncio.Event()
        self.is_released = False
        self.records: tuple[SigningKeyRecord, ...] = ()
        self.audiences: dict[str, Audience] = {}
        self.log = DenylistLog()
        self.dates: dict[Position, datetime] = {}  # of the latest entries: when each was made
        self.jwks = b""
        self.jwks_etag = ""

    # --- what the rest of the process reads --------------------------------------------------------------------------------

    @property
    def age_seconds(self) -> float:
        """Seconds since Postgres confirmed this copy."""
        return (
            time.monotonic() - self._confirmed_on
            if self._confirmed_at is not None
            else float("inf")
        )

    @property
    def confirmed_at(self) -> datetime:
        """Postgres's clock when it confirmed this copy. Raises UnavailableError if it never did."""
        if self._confirmed_at is None:
            raise _stale()
        return self._confirmed_at

    @property
    def now(self) -> datetime:
        """Postgres's clock by our reckoning: the last confirmation and the time since."""
        return self.confirmed_at + timedelta(seconds=self.age_seconds)

    def signing_key(self, now: datetime, alg: str) -> SigningKey:
        """Return the key that signs at `now`. Raises UnavailableError if there is none, or the copy is too old to tell."""
        if self.age_seconds > MAX_AGE_SECONDS:
            raise _stale()
        begin, end, key = self._signers.get(alg, (None, None, None))
        if key is not None and begin is not None and begin <= now and (end is None or now < end):
            return key
        record = find_active(self.records, alg, now)
        if record is None:
            raise UnavailableError(
                "there is no signing key in force", reason="no_signing_key", retry_after=5
            )
        key = self._opened[record.kid]
        self._signers[alg] = record.active_at, superseded_at(record, self.records), key
        return key

    def check_signer(self, alg: str) -> None:
        """Raise UnavailableError if nothing could be signed now."""
        if alg not in self._signers or self.age_seconds > MAX_AGE_SECONDS:
            self.signing_key(self.now, alg)

    def signer_for(self, audience: Audience, now: datetime) -> SigningKey:
        """Return the key that signs tokens for `audience`: of its algorithm, or the default one until that has a key that may sign."""
        if (
            audience.alg != DEFAULT_ALGORITHM
            and find_active(self.records, audience.alg, now) is None
        ):
            return self.signing_key(now, DEFAULT_ALGORITHM)
        return self.signing_key(now, audience.alg)

    async def wait_for_change(self, seconds: float) -> None:
        """Return when the denylist has changed, `release` was called, or after `seconds`."""
        if self.is_released:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    def release(self) -> None:
        """Let everybody go who waits for a change, now and later: the process is draining."""
        self.is_released = True
        self._changed.set()

    def remember(self, rows: Iterable[DenylistRow]) -> None:
        """Take note of what this process has acknowledged: it is known from now on, also if Postgres loses it at once."""
        self._acknowledged += rows

    # --- keeping it up -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the copy fresh until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            while True:
                try:
                    await self.refresh_once()
                except TokensvcError as error:
                    _log.warning(
                        "mirror_not_refreshed",
                        reason=error.reason,
                        age_seconds=round(self.age_seconds, 1),
                    )
                except Exception:  # noqa: BLE001 - a fault of ours must not stop the loop; the age of the copy shows it outside
                    _log.exception("mirror_not_refreshed")
                try:
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    async def refresh_once(self) -> None:
        """Ask for the heads and read again what has changed. Raises UnavailableError, and then the copy is as old as before."""
        async with self._refreshing:
            await self._refresh()

    async def refresh_for_a_miss(self) -> None:
        """As `refresh_once`, for somebody who misses something that may be new; all who miss at once share one look."""
        missed_on = time.monotonic()
        async with self._refreshing:
            if self._confirmed_on < missed_on:
                await self._refresh()

    async def _refresh(self) -> None:
        self._wake.clear()
        asked_on = time.monotonic()
        acknowledged = list(self._acknowledged)
        rows: list[DenylistRow] | None = []
        async with self._database.connection() as connection:
            heads, now = await list_heads(connection)
            if heads["audience"] != self._heads.get("audience"):
                self._policy = self._settings.rotation_policy(
                    await load_longest_life(connection)
                )  # it may grant a longer life
                self.audiences = {
                    audience.name: audience for audience in await list_audiences(connection)
                }
            if heads["signing_key"] != self._heads.get("signing_key"):
                await self._load_signing_keys(connection)
            if heads["denylist"] != self._heads.get("denylist") or acknowledged:
                rows = await self._list_new(connection, heads["denylist"], acknowledged, now)
        gone_back = rows is None
        if rows is None:
            rows, heads["denylist"] = await self._heal(acknowledged)
        # from here on nothing waits, so that whoever waits for a change is woken in the very moment of the change
        heads["denylist"] = self._take(rows, heads["denylist"], anew=gone_back)
        del self._acknowledged[: len(acknowledged)]
        self._publish(now)
        self.log.forget_expired(now.timestamp())
        denylist_changed = heads["denylist"] != self._heads.get("denylist")
        self._heads, self._confirmed_at, self._confirmed_on = heads, now, asked_on
        if denylist_changed:
            self._changed.set()
            self._changed = asyncio.Event()

    async def _load_signing_keys(self, connection: Connection) -> None:
        records = tuple(await list_signing_keys(connection))
        self._policy = self._settings.rotation_policy(await load_longest_life(connection))
        sealed = [r for r in records if r.revoked_at is None]
        try:
            self._opened = self._open(sealed)
        except StartRefusedError:
            self._master_key = read_master_key(self._settings)  # it has been rotated meanwhile
            self._opened = self._open(sealed)
        self.records = records
        self._signers = {}

    def _open(self, sealed: Iterable[SigningKeyRecord]) -> dict[Kid, SigningKey]:
        return {
            r.kid: self._opened.get(r.kid)
            or unseal(r.sealed_private_key, kid=r.kid, alg=r.alg, master_key=self._master_key)
            for r in sealed
        }

    async def _list_new(
        self,
        connection: Connection,
        head: Position,
        acknowledged: Sequence[DenylistRow],
        now: datetime,
    ) -> list[DenylistRow] | None:
        """Return what came after the head that is held; None if the table has lost what is held, or what was acknowledged."""
        soon = now.timestamp() + _COLLECTED_EARLY_SECONDS
        known = [] if self.log.head is None else [(self.log.head, self.log.ends_alive(soon))]
        if acknowledged:
            newest = max(acknowledged, key=lambda row: row.position.seq)
            known.append((newest.position, newest.revocation.exp > soon))
        for held, is_due in known:
            if has_gone_back(held, head, await find_tag(connection, held.seq), is_due=is_due):
                return None
        return await list_after(connection, -1 if self.log.head is None else self.log.head.seq, now)

    async def _heal(
        self, acknowledged: Sequence[DenylistRow]
    ) -> tuple[list[DenylistRow], Position]:
        """Heal the table; return all that it holds then, and its head. Raises UnavailableError if that has to be tried again."""
        remembered = [*(entry for _, entry in self.log), *(row.revocation for row in acknowledged)]
        _log.error("denylist_went_back", held=str(self.log.head), remembered=len(remembered))
        await heal(self._database, self._settings, self._master_key, remembered)
        async with self._database.connection() as connection:
            heads, now = await list_heads(connection)
            rows = await list_after(connection, -1, now)
        if find_lost(remembered, [row.revocation for row in rows], now.timestamp()):
            raise UnavailableError(
                "the denylist has changed while it was healed; trying again",
                reason="denylist_not_healed",
            )
        DENYLIST_RESETS.inc()
        self._wake.set()  # healing may have changed the signing keys
        return rows, heads["denylist"]

    def _take(self, rows: Sequence[DenylistRow], head: Position, *, anew: bool) -> Position:
        """Take in rows of the table; return the head, which is further if they were committed after it was read."""
        if rows and rows[-1].position.seq > head.seq:
            head = rows[-1].position
        entries = [(row.position, row.revocation) for row in rows]
        self.dates = dict(
            [*self.dates.items(), *((row.position, row.created_at) for row in rows)][-_DATES:]
        )
        if anew or self.log.head is None:
            self.log.reset(entries, head)
        else:
            self.log.append(entries, head)
        return head

    def _publish(self, now: datetime) -> None:
        """Build the JWKS again if time or a change has altered it."""
        if self._policy is None:
            return
        document = build_jwks(
            record.public_jwk for record in published(self.records, self._policy, now)
        )
        if document != self.jwks:
            self.jwks, self.jwks_etag = document, hashlib.sha256(document).hexdigest()[:32]

    async def _listen(self) -> None:
        """Be woken by NOTIFY, for ever. Whatever goes wrong here costs half a second of lateness."""
        while True:
            try:
                await listen(self._database, self._wake.set)
            except UnavailableError as error:
                _log.debug("listener_lost", reason=error.reason)
            except Exception:  # noqa: BLE001 - as above; polling goes on meanwhile
                _log.exception("listener_lost")
            await asyncio.sleep(_RECONNECT_SECONDS)


def _stale() -> UnavailableError:
    return UnavailableError(
        "the database does not answer right now; try again", reason="mirror_stale"
    )
