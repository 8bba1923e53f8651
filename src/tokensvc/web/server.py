"""Serving with one process, or with several under gunicorn.

SIGTERM, SIGINT and SIGHUP drain: `web.runner` says how. SIGUSR1 and SIGUSR2 are ignored.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import uvloop

from tokensvc.core.errors import StartRefusedError
from tokensvc.logs.logger import get_logger
from tokensvc.traces.tracing import tracing
from tokensvc.web.accepting import BACKLOG
from tokensvc.web.garbage import paced_collection
from tokensvc.web.runner import NO_PORTS, OwnPorts, ServiceRunner
from tokensvc.web.shared_start import SharedStart
from tokensvc.web.signals import list_stopping_signals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokensvc.issuer.admin.api_keys import NewKey
    from tokensvc.settings import Settings

_SWITCH_SECONDS: Final = 0.0005  # a tenth of what Python has
_OTHERS_SERVE_SECONDS: Final = 5.0  # then it answers 503: they may all have died

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcements:
    """What the operator is told: the admin key of the first start, and that requests are taken."""

    first_admin: Callable[[NewKey], None]
    ready: Callable[[], None]


def bind_socket(settings: Settings) -> socket.socket:
    """Bind host and port, before anything else is started. Raises StartRefusedError."""
    return _bind(settings.host, settings.port, "TOKENSVC_PORT")


@contextmanager
def bind_own_ports(settings: Settings) -> Iterator[OwnPorts]:
    """As `bind_socket`, for what has a port of its own. Close the sockets at the end."""
    with ExitStack() as stack:

        def bind(port: int | None, setting: str) -> socket.socket | None:
            if port is None:
                return None
            return stack.enter_context(_bind(settings.host, port, setting))

        yield OwnPorts(
            metrics=bind(settings.metrics_port, "TOKENSVC_METRICS_PORT"),
            operations=bind(settings.admin_port, "TOKENSVC_ADMIN_PORT"),
        )


def _bind(host: str, port: int, setting: str) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # Whoever listens on every address of IPv6 means those of IPv4 as well.
        both = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(
            (host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both
        )
    except OSError as error:
        used = f"cannot listen on {host}:{port}: {_explain(error)}"
        raise StartRefusedError(
            f"{used}. Stop what uses it, or set TOKENSVC_HOST and {setting}"
        ) from error


def _explain(error: OSError) -> str:
    """Return the plain reason, without the address that Python adds to it."""
    # The numbers of a name that cannot be resolved are not those of the operating system.
    if isinstance(error, socket.gaierror) or not error.errno:
        return str(error.strerror)
    return os.strerror(error.errno)


def serve_one(
    settings: Settings,
    database_url: str,
    listener: socket.socket,
    announcements: Announcements,
    own_ports: OwnPorts = NO_PORTS,
) -> None:
    """Serve in this process until it is told to stop. Raises StartRefusedError."""
    uvloop.run(_serve_one(settings, database_url, listener, announcements, own_ports))


async def _serve_one(
    settings: Settings,
    database_url: str,
    listener: socket.socket,
    announcements: Announcements,
    own_ports: OwnPorts,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in list_stopping_signals():
        loop.add_signal_handler(number, stop.set)
    with tracing(is_wanted=settings.are_requests_traced), SharedStart() as start:
        runner = ServiceRunner(settings, database_url, start, announcements.first_admin, own_ports)
        await _serve(runner, listener, announcements, stop, others_serve=False)


async def _serve(
    runner: ServiceRunner,
    listener: socket.socket,
    announcements: Announcements,
    stop: asyncio.Event,
    *,
    others_serve: bool,
) -> None:
    """Serve until `stop` is set. Raises StartRefusedError if the service cannot be opened.

    `others_serve`: leave new connections to the other workers until the service is open here.
    """
    await runner.setup()
    opening = asyncio.create_task(_open(runner, announcements))
    stopping = asyncio.create_task(stop.wait())
    try:
        if others_serve:
            await asyncio.wait(
                {opening, stopping},
                timeout=_OTHERS_SERVE_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
        await runner.serve(listener)
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            opening.result()
            with paced_collection():
                await stopping
        _log.info("draining")
    finally:
        stopping.cancel()
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        # After a refused start too, who has connected meanwhile gets an answer.
        await runner.drain(listener)


async def _open(runner: ServiceRunner, announcements: Announcements) -> None:
    await runner.open(announcements.ready)
    # A thread that computes, like the one that builds the page of the metrics, hands the
    # interpreter back to the event loop at once.
    sys.setswitchinterval(_SWITCH_SECONDS)


def serve_many(
    settings: Settings,
    database_url: str,
    listener: socket.socket,
    announcements: Announcements,
    workers: int,
    own_ports: OwnPorts = NO_PORTS,
) -> None:
    """Serve with several processes under gunicorn until told to stop. Raises StartRefusedError."""
    from tokensvc.web.workers import BOOT_ERROR, Workers  # noqa: PLC0415 - gunicorn takes 3 MB

    owner = os.getpid()
    with SharedStart(workers) as start:

        async def serve(listener: socket.socket, stop: asyncio.Event) -> None:
            runner = ServiceRunner(
                settings, database_url, start, announcements.first_admin, own_ports
            )
            others_serve = start.is_serving
            try:
                with tracing(is_wanted=settings.are_requests_traced):
                    await _serve(runner, listener, announcements, stop, others_serve=others_serve)
            except StartRefusedError as error:
                start.note_refusal(error.message)
                sys.exit(BOOT_ERROR)

        try:
            # gunicorn copies the listener, and closes this one.
            Workers(
                serve,
                listener=listener.detach(),
                count=workers,
                drain=settings.drain_seconds,
                log_level=settings.log_level,
            ).run()
        except SystemExit:
            # A worker that ends passes here as well; only the master tells why nothing has started.
            if os.getpid() == owner and start.refusal is not None:
                raise StartRefusedError(start.refusal) from None
            raise
