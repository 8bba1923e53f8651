"""A key in a file that rotates itself: the successor takes its place when the file is old enough.

The age of a key is that of its file. Several processes may share the file: one of them rotates, and
the others read the new key with their next exchange. The old key works for another day.

The request is named after the key (`Idempotency-Key`). So a process that dies between the answer
and the write gets the same successor when it asks again within ten minutes.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokensvc.client._errors import KeyUnreadableError
from tokensvc.client._key_file import CAN_LOCK, prepare, replace, try_lock
from tokensvc.client._key_reader import KeyFromFile, parse_key
from tokensvc.client._response import ExchangeResponse, parse_object
from tokensvc.client._token_endpoint import post_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.client._options import ExchangeOptions
    from tokensvc.client._response import NoResponse
    from tokensvc.core.api_key import ApiKey

_EVERY: Final = re.compile(r"([1-9][0-9]{0,5})([hdw])")
_SECONDS: Final = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
_CREATED: Final = 201
_PAUSE: Final = 60.0  # seconds after a failure

_log = logging.getLogger("tokensvc.client")


def parse_every(text: str) -> int:
    """Return the seconds that `text` means, like "30d" (h, d, w). Raises ValueError."""
    found = _EVERY.fullmatch(text)
    if found is None:
        raise ValueError('rotate_every is a number and h, d or w, like "30d"')
    return int(found[1]) * _SECONDS[found[2]]


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why there is no successor."""

    message: str


class KeyRotation:
    """Rotates the key in the file `path` when the file is `every` seconds old.

    `wall` tells the time that files are dated with.
    """

    def __init__(
        self,
        options: ExchangeOptions,
        path: Path,
        every: int,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._options = options
        self._path = path
        self._every = every
        self._wall = wall
        self._rests_until = -math.inf
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the key is being rotated."""
        return self._task is not None and not self._task.done()

    def begin_if_due(self) -> None:
        """Begin to rotate the key if it is time; nobody waits for that."""
        rests = self._options.clock() < self._rests_until
        if not rests and not self.is_running and self._is_old():
            self._task = asyncio.create_task(self.rotate())

    async def finish(self) -> None:
        """Wait for the end of a rotation, if one runs in this event loop."""
        task = self._task
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            await asyncio.wait({task})

    def forget(self) -> None:
        """In a forked child: forget the rotation of the parent."""
        self._task = None

    async def rotate(self) -> None:
        """Rotate the key, unless another process does so or has just done it.

        It raises nothing: what went wrong is logged, and tried again later.
        """
        try:
            trouble = await self._rotate_alone()
        except (OSError, UnicodeDecodeError, KeyUnreadableError) as error:
            trouble = _Trouble(f"{type(error).__name__} at {self._path}")
        if trouble is not None:
            self._rests_until = self._options.clock() + _PAUSE
            _log.warning("the API key was not rotated: %s", trouble.message)

    async def _rotate_alone(self) -> _Trouble | None:
        # The file itself: a link to it must stay a link.
        path = self._path.resolve()
        with try_lock(path) as is_alone:
            # Again, because another process may have been faster. Nobody waits for the lock.
            if not is_alone or not self._is_old():
                return None
            prepare(path)  # before the key is rotated: a successor that is not kept would be lost
            key = parse_key(KeyFromFile(path)(), str(KeyFromFile(path)))
            successor = await self._ask(key)
            if isinstance(successor, _Trouble):
                return successor
            # Nothing can come between: to write a few bytes takes no time worth a thread.
            replace(path, successor.text + "\n")
        _log.info("the API key was rotated: %s takes over from %s", successor.hint, key.hint)
        return None

    async def _ask(self, key: ApiKey) -> ApiKey | _Trouble:
        # The name is kept by the issuer, so it must not hold the key itself.
        name = hashlib.sha256(b"rotation of " + key.text.encode()).hexdigest()
        response = await post_json(
            f"{self._options.issuer.removesuffix('/')}/v1/keys/self/rotate",
            key,
            headers={"Idempotency-Key": name},
            seconds=self._options.timeout,
            clock=self._options.clock,
            tls=self._options.tls,
        )
        return _judge(response)

    def _is_old(self) -> bool:
        try:
            return self._wall() - self._path.stat().st_mtime >= self._every
        except OSError:
            return False


def build_rotation(
    options: ExchangeOptions, api_key: object, rotate_every: str | None
) -> KeyRotation | None:
    """Return what rotates the key, None if it is not to be rotated. Raises ValueError."""
    if rotate_every is None:
        return None
    every = parse_every(rotate_every)
    path = api_key.path if isinstance(api_key, KeyFromFile) else api_key
    if not isinstance(path, Path) or not CAN_LOCK:
        raise ValueError("rotate_every needs a file (a Path), on a system with file locks")
    return KeyRotation(options, path, every)


def _judge(response: ExchangeResponse | NoResponse) -> ApiKey | _Trouble:
    if not isinstance(response, ExchangeResponse):
        return _Trouble(f"the issuer cannot be reached: {response.trouble}")
    body = parse_object(response.body)
    if response.status != _CREATED:
        return _Trouble(f"the issuer answered {response.status} {str(body.get('code', ''))[:40]}")
    if body.get("key") is None:
        return _Trouble(
            "it has been rotated already, and its successor is not told any more: "
            "ask for a new key before this one ends"
        )
    try:
        return parse_key(body["key"], "the answer of the issuer")
    except KeyUnreadableError:
        return _Trouble("the issuer sent something that is no API key")
