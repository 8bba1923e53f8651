"""Clients of two replicas, which go on whatever becomes of one of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Balancer:
    """Chooses a replica as a load balancer does: the next one that takes requests.

    `outcomes` counts the answers: their status, or what went wrong. Each exchange is on a
    connection of its own.
    """

    def __init__(self, urls: Sequence[str], session: aiohttp.ClientSession) -> None:
        self._urls = list(urls)
        self._session = session
        self._turn = 0
        self.outcomes: Counter[int | str] = Counter()
        self.is_stopped = False

    async def use(self, key: str) -> None:
        """Exchange a key again and again, and revoke what it gives, until `is_stopped`."""
        headers = {"Authorization": f"Bearer {key}"}
        while not self.is_stopped:
            status, token = await self._post("/v1/token", headers, {})
            self.outcomes[status] += 1
            if token is not None:
                status, _ = await self._post("/v1/revoke", {}, {"token": token})
                self.outcomes[status] += 1

    async def _post(
        self, path: str, headers: Mapping[str, str], form: Mapping[str, str]
    ) -> tuple[int | str, str | None]:
        """Return the status, and the token if there is one in the answer."""
        self._turn += 1
        first = self._turn % len(self._urls)
        for url in self._urls[first:] + self._urls[:first]:
            try:
                async with self._session.post(url + path, headers=headers, data=form) as answer:
                    if answer.status == 503 and "Retry-After" in answer.headers:
                        continue  # it is not ready yet, and has done nothing
                    body = await answer.json()
                    return answer.status, body.get("access_token")
            except aiohttp.ClientConnectorError:
                continue  # nothing was sent
            except aiohttp.ClientError as error:
                return repr(error), None
        return "nobody takes requests", None
