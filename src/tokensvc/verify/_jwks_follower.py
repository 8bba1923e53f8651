"""Follows the issuer's public keys: fetches them before they expire, and keeps the last good ones.

A single task fetches, so there is never more than one fetch at a time. An answer that is older
than the keys held comes from a cache on the way, and is refused.

Not here: what happens when the keys are too old. The verifier decides that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
from typing import TYPE_CHECKING, Final

from tokensvc.core.jwks import parse_jwks
from tokensvc.verify._backoff import is_worth_a_line, new_backoff, renew
from tokensvc.verify._fetch import FetchError
from tokensvc.verify._snapshot import JwksSnapshot
from tokensvc.verify._unknown_kids import UnknownKids

if TYPE_CHECKING:
    from tokensvc.core.identifier import Kid
    from tokensvc.core.jwks import VerifyingKey
    from tokensvc.verify._clock import Clock
    from tokensvc.verify._fetch import Fetches, JwksAnswer

_AHEAD: Final = 0.8  # keys are fetched again after this part of their max-age
_SHORTEST_PAUSE: Final = 1.0
_LONGEST_BACKOFF: Final = 30.0
# Without any key no token can be verified, so the issuer is asked often until it is back.
_LONGEST_BACKOFF_WITHOUT_KEYS: Final = 2.0
# Caches give ages in whole seconds: two answers this close count as equally old.
_SAME_MOMENT: Final = 2.0
# RFC 9110 section 8.8.3, but ASCII only. Any other ETag cannot be sent back, and is not kept.
_ETAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,256}"')

_log = logging.getLogger(__name__)


class JwksFollower:
    """The issuer's public keys.

    They are fetched before they expire, and once per `cooldown` seconds when a token names an
    unknown kid.
    """

    def __init__(self, fetcher: Fetches, url: str, clock: Clock, *, cooldown: float) -> None:
        self._fetcher = fetcher
        self._url = url
        self._clock = clock
        self._unknown_kids = UnknownKids(cooldown=cooldown)
        self._document: bytes | None = None
        self._etag: str | None = None
        self._max_age = 0.0
        self._failures = 0
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        # It is replaced and never changed, because any thread may look into it.
        self.keys: dict[Kid, VerifyingKey] = {}
        self.confirmed_on = float("-inf")
        self.loaded = asyncio.Event()
        self.last_error: str | None = None

    @property
    def age(self) -> float:
        """Seconds since the issuer confirmed these keys."""
        return self._clock.monotonic() - self.confirmed_on

    @property
    def overdue(self) -> float:
        """Seconds by which the keys have passed their max-age; negative while they are fresh."""
        return self.age - self._max_age

    def find_key(self, kid: Kid) -> VerifyingKey | None:
        """Return the key with this kid, None if there is none. May be called from any thread.

        An unknown kid makes the follower fetch the JWKS again, at most once per cooldown.
        """
        key = self.keys.get(kid)
        if (
            # In this order: also while fetches fail, the kid is noted for the next one.
            key is None
            and self._unknown_kids.is_reason_to_fetch(kid, self._clock.monotonic())
            and not self._failures  # after a failure the next attempt is planned already
        ):
            self.fetch_soon()
        return key

    def fetch_soon(self) -> None:
        """Have the JWKS fetched at once. May be called from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just been closed
                self._loop.call_soon_threadsafe(self._wake.set)

    def enter_loop(self) -> None:
        """Get ready to run in the present event loop. It may differ from the one before."""
        self._loop = asyncio.get_running_loop()
        self._wake, self.loaded = asyncio.Event(), renew(self.loaded)

    async def run(self) -> None:
        """Keep the keys fresh until cancelled."""
        while True:
            await self.fetch_once()
            try:
                async with asyncio.timeout(self._new_pause()):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def fetch_once(self) -> None:
        """Fetch the JWKS. If the answer is not usable, keep the keys held."""
        # Before the fetch: a kid that is missed from here on may not be in its answer, and wakes
        # it.
        self._wake.clear()
        asked_on = self._clock.monotonic()
        hoped_for = self._unknown_kids.begin_fetch(asked_on)
        try:
            self.take(await self._fetcher.fetch_jwks(self._url, self._etag), asked_on)
        except (FetchError, ValueError) as error:
            self._failures += 1
            self.last_error = str(error)
            if is_worth_a_line(self._failures):
                _log.warning(
                    "the JWKS was not refreshed (failures in a row: %d): %s", self._failures, error
                )
            if self.keys:  # they come from a snapshot, and serve until the issuer is back
                self.loaded.set()
            return
        self._unknown_kids.end_fetch(hoped_for, self.keys)

    def take(self, answer: JwksAnswer, asked_on: float) -> None:
        """Take in the answer to a request that was sent at `asked_on` (monotonic clock).

        Raises FetchError or ValueError, and then changes nothing.
        """
        # A cache says how old its copy is. Counting from the question, not from the answer, makes
        # the keys look older than they are, never younger.
        confirmed_on = asked_on - answer.age
        # A copy of the keys held does no harm, however old. Only another document can set them
        # back.
        if answer.document is not None and answer.document != self._document:
            if confirmed_on < self.confirmed_on - _SAME_MOMENT:
                raise FetchError("the answer is older than the keys held: it comes from a cache")
            self.keys = _parse_keys(answer.document, self.keys)
            self._document = answer.document
        self._failures, self.last_error = 0, None
        self._etag, self._max_age = _find_usable(answer.etag), answer.max_age
        self.confirmed_on = max(confirmed_on, self.confirmed_on)
        self.loaded.set()

    def snapshot(self) -> JwksSnapshot | None:
        """Return what the next start can begin with, None before the first answer."""
        if self._document is None:
            return None
        return JwksSnapshot(
            document=self._document,
            etag=self._etag,
            max_age=self._max_age,
            confirmed_at=self._clock.wall() - self.age,
        )

    def restore(self, kept: JwksSnapshot) -> None:
        """Begin with what was kept before the restart. Raises ValueError if it holds no keys."""
        # The document is parsed again, so a snapshot can hold no key that a JWKS could not hold.
        self.keys = _parse_keys(kept.document, self.keys)
        self._document, self._etag = kept.document, _find_usable(kept.etag)
        self._max_age = kept.max_age
        age = max(0.0, self._clock.wall() - kept.confirmed_at)
        self.confirmed_on = self._clock.monotonic() - age

    def _new_pause(self) -> float:
        if self._failures:
            longest = _LONGEST_BACKOFF if self.keys else _LONGEST_BACKOFF_WITHOUT_KEYS
            return new_backoff(self._failures, longest=longest)
        # Verifiers that were started together must not all ask at the same moment.
        refresh_age = self._max_age * _AHEAD * random.uniform(0.9, 1.0)  # noqa: S311 - spreads load
        return max(_SHORTEST_PAUSE, refresh_age - self.age)


def _find_usable(etag: str | None) -> str | None:
    return etag if etag is not None and _ETAG.fullmatch(etag) else None


def _parse_keys(document: bytes, held: dict[Kid, VerifyingKey]) -> dict[Kid, VerifyingKey]:
    """Return the keys of a document.

    A key that is held already stays the same object, so that the tokens which were verified with
    it stay remembered.
    """
    keys = parse_jwks(document)
    if not keys:
        raise ValueError("the JWKS holds no usable key")
    return {kid: held[kid] if held.get(kid) == key else key for kid, key in keys.items()}
