"""What the use of keys shows: a new network, a limit that is nearly used up, an unusual hour.

An exchange writes nothing for it. The writer of usage hands over which keys were used from where,
and twice a minute that is compared with the tables.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tokensvc.core.notices.event import NewNotice
from tokensvc.core.notices.watching import (
    LEAST_UNUSUAL,
    MOST_NETWORKS,
    decide_limit,
    is_new_network,
    is_unusual,
)
from tokensvc.issuer.notices.outbox import AT_ONCE, append_in_steps
from tokensvc.store.api_key_network import put_networks, trim_networks
from tokensvc.store.notice_event import append_notices
from tokensvc.store.notice_facts import list_busy, list_in_grace, list_limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tokensvc.core.notices.event import EventName
    from tokensvc.store.api_key_network import NewNetwork
    from tokensvc.store.notice_facts import BusyKey, KeyInGrace, UsedLimit
    from tokensvc.store.pool import Connection, Database

    Named = NewNetwork | BusyKey | KeyInGrace | UsedLimit

_MOST_REMEMBERED: Final = 200_000
_UNKNOWN: Final = "unknown"
# By whether it is a limit of a key, and the percentage that is used up.
_LIMIT_EVENTS: Final[dict[tuple[bool, int], EventName]] = {
    (True, 80): "key.limit_80",
    (True, 100): "key.limit_100",
    (False, 80): "account.limit_80",
    (False, 100): "account.limit_100",
}

_T = TypeVar("_T")


class UsageWatch:
    """Which keys were used since the last look, and from which networks.

    What is remembered are the keys of dicts: many sets take four times the memory when they grow.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._used: dict[str, None] = {}
        self._places: dict[tuple[str, str], None] = {}
        # The hashes of places that the table has already, because places take thrice the memory.
        # Two of 200,000 have the same with a chance of one in a billion: then a row is missing.
        self._written: dict[int, None] = {}
        self._told: set[str] = set()  # what was appended by this process, and once only

    def note(self, places: Iterable[tuple[str, str]]) -> None:
        """Take in which keys were used, and where: (key id, network)."""
        for place in places:
            if len(self._used) < _MOST_REMEMBERED:
                self._used[place[0]] = None
            if (
                hash(place) not in self._written
                and place[1] != _UNKNOWN
                and len(self._places) < _MOST_REMEMBERED
            ):
                self._places[place] = None

    def forget_places(self) -> None:
        """Write every place again when it is used, so that the table knows the latest ones."""
        self._written.clear()
        self._told.clear()

    async def check_once(self) -> None:
        """Append what must be told. Raises UnavailableError, and then the rest is for later."""
        # In batches that are sorted one by one: to sort 200,000 at once would hold up everybody.
        while self._places:
            places = sorted(islice(self._places, AT_ONCE))
            async with self._database.transaction() as connection:
                await self._tell_networks(connection, places)
            _remove(self._places, places)
            if len(self._written) < _MOST_REMEMBERED:
                self._written.update(dict.fromkeys(map(hash, places)))
        while self._used:
            keys = sorted(islice(self._used, AT_ONCE))
            async with self._database.connection() as connection:
                notices = [
                    *_build_limit_notices(await list_limits(connection, keys)),
                    *_build_unusual_notices(await list_busy(connection, keys, LEAST_UNUSUAL)),
                    *_build_grace_notices(await list_in_grace(connection, keys)),
                ]
            await self._tell_once(notices)
            _remove(self._used, keys)

    async def _tell_networks(
        self, connection: Connection, places: Sequence[tuple[str, str]]
    ) -> None:
        found = await put_networks(connection, places)
        if not found:
            return
        # A key keeps its latest networks only, or its holder could fill the table.
        await trim_networks(connection, sorted({new.key_id for new in found}), MOST_NETWORKS)
        notices = [
            NewNotice(
                name="key.new_network",
                subject=new.key_id,
                account_id=new.account_id,
                detail=_name(new, network=new.network),
            )
            for new in found
            if is_new_network(new.known)
        ]
        if notices:
            await append_notices(connection, notices)

    async def _tell_once(self, notices: Sequence[NewNotice]) -> None:
        fresh = [notice for notice in notices if notice.once not in self._told]
        if not fresh:
            return
        await append_in_steps(self._database, fresh)
        if len(self._told) < _MOST_REMEMBERED:
            self._told.update(str(notice.once) for notice in fresh)


def _remove(remembered: dict[_T, None], items: Iterable[_T]) -> None:
    for item in items:
        remembered.pop(item, None)


def _build_limit_notices(limits: Iterable[UsedLimit]) -> list[NewNotice]:
    notices = []
    for used in limits:
        percent = decide_limit(used.used, used.limit)
        if percent is not None:
            name = _LIMIT_EVENTS[used.hint is not None, percent]  # only a key has a hint
            notices.append(
                NewNotice(
                    name=name,
                    subject=used.id,
                    account_id=used.account_id,
                    detail=_name(used, limit=used.limit, used=used.used),
                    once=f"{name} {used.id} {used.day:%Y-%m-%d}",
                )
            )
    return notices


def _build_unusual_notices(busy: Iterable[BusyKey]) -> list[NewNotice]:
    return [
        NewNotice(
            name="key.unusual_use",
            subject=key.id,
            account_id=key.account_id,
            detail=_name(
                key, hour=key.hour.isoformat(), used=key.used, most_in_seven_days=key.earlier_most
            ),
            once=f"key.unusual_use {key.id} {key.hour:%Y-%m-%dT%H}",
        )
        for key in busy
        if is_unusual(key.used, key.earlier_most, key.age)
    ]


def _build_grace_notices(keys: Iterable[KeyInGrace]) -> list[NewNotice]:
    return [
        NewNotice(
            name="key.used_in_grace",
            subject=key.id,
            account_id=key.account_id,
            detail=_name(key, successor=key.successor_id, expires_at=key.expires_at.isoformat()),
            once=f"key.used_in_grace {key.id} {key.day:%Y-%m-%d}",
        )
        for key in keys
    ]


def _name(thing: Named, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return how a key or account is called, and what else is told."""
    hint = {} if thing.hint is None else {"hint": thing.hint}
    return {"name": thing.name, **hint, **more}
