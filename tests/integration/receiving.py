"""A real receiver of notices on loopback, and a dispatcher that reaches it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook
from tests.integration.things import ACTOR

from tokensvc.core.notices.destination import parse_networks
from tokensvc.issuer.notices.dispatch import Dispatcher
from tokensvc.issuer.notices.endpoints import NewEndpoint, create_endpoint
from tokensvc.issuer.notices.mail import MailSender
from tokensvc.issuer.notices.resolving import Resolver
from tokensvc.issuer.notices.sending import NoticeSender
from tokensvc.issuer.notices.webhook import WebhookSender

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokensvc.core.sealing import MasterKey
    from tokensvc.settings import Settings
    from tokensvc.store.pool import Database

LOOPBACK = "127.0.0.0/8 ::1"


class Got(NamedTuple):
    """What a receiver got."""

    id: str
    body: dict[str, Any]
    headers: dict[str, str]
    raw: bytes

    def check(self, secret: str) -> None:
        """Raise unless this secret has signed it."""
        Webhook(secret).verify(self.raw, self.headers)


class Receiver:
    """Answers with `status`; if it hangs, not before it is told to go on."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.status = 204
        self.headers: dict[str, str] = {}
        self.go_on = asyncio.Event()
        self.go_on.set()
        app = web.Application()
        app.router.add_post("/{any:.*}", self._answer)
        self.server = TestServer(app)

    @property
    def url(self) -> str:
        return str(self.server.make_url("/hook"))

    @property
    def events(self) -> list[str]:
        return [got.body["type"] for got in self.got]

    async def _answer(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.got.append(
            Got(request.headers["webhook-id"], await request.json(), dict(request.headers), raw)
        )
        await self.go_on.wait()
        return web.Response(status=self.status, headers=self.headers)


def make_dispatcher(
    database: Database,
    settings: Settings,
    master_key: MasterKey,
    *,
    allowed: str = LOOPBACK,
    seconds: float = 1.0,
    resolve: Any = None,
    **options: Any,
) -> Dispatcher:
    """Return what delivers, to loopback as well."""
    sender = NoticeSender(
        database,
        WebhookSender(resolve or Resolver(), allowed=parse_networks(allowed), seconds=seconds),
        MailSender(settings),
        issuer=settings.issuer_url,
        load_master_key=lambda: master_key,
    )
    return Dispatcher(database, sender, **options)


async def make_endpoint(
    database: Database, settings: Settings, master_key: MasterKey, url: str, **more: Any
) -> NewEndpoint:
    """Add an endpoint; for the whole service unless an account is named."""
    values = {"account_id": None, "events": [], "description": ""} | more
    allowing = settings.model_copy(update={"notice_allowed_networks": LOOPBACK})
    return await create_endpoint(database, allowing, master_key, url=url, actor=ACTOR, **values)


async def deliver(dispatcher: Dispatcher) -> None:
    """Find events and deliver all that is due."""
    await dispatcher.work_once()
    await dispatcher.settle()


async def deliver_until(dispatcher: Dispatcher, has_ended: Callable[[], bool]) -> None:
    """Deliver again and again until something holds."""
    async with asyncio.timeout(20):
        while not has_ended():
            await deliver(dispatcher)
            await asyncio.sleep(0.02)
