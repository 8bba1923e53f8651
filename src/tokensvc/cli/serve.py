"""`tokensvc serve`."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

from tokensvc import __version__
from tokensvc.cli.database import lend_database_url
from tokensvc.cli.first_admin import show_first_admin
from tokensvc.cli.process_limits import forbid_core_dumps, raise_descriptor_limit
from tokensvc.cli.supervisor import Supervisor, take_supervisor
from tokensvc.cli.surroundings import find_scratch_folder, say
from tokensvc.logs.configuration import configure_logs
from tokensvc.logs.logger import get_logger
from tokensvc.settings import Settings, load_settings
from tokensvc.traces.tracing import check_tracing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokensvc.web.server import Announcements


@click.command("serve")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="How many processes answer requests.",
)
def command(workers: int) -> None:
    """Run the service until Ctrl-C or SIGTERM.

    Requests in flight are answered before it ends. Logs are JSON lines on stderr. While Postgres
    does not answer, /livez answers, and everything else is told to try again.

    The first start prepares everything: the schema, the master key, the signing keys, the default
    audience, and an admin API key, which is shown once. Where stdout is no terminal, the key is
    written to the file first-admin.key in the data folder instead.
    """
    settings = load_settings()
    check_tracing(is_wanted=settings.are_requests_traced)
    with share_metrics() if workers > 1 else nullcontext():
        _serve(settings, workers)


def _serve(settings: Settings, workers: int) -> None:
    # Imported here because they import prometheus_client, which is told before where metrics lie.
    from tokensvc.issuer.metrics import LOG_LINES_DROPPED  # noqa: PLC0415
    from tokensvc.web import server, signals  # noqa: PLC0415

    forbid_core_dumps()
    raise_descriptor_limit()
    configure_logs(settings.log_level, count_lost=LOG_LINES_DROPPED.inc)
    announcements = _build_announcements(settings, take_supervisor())
    if settings.is_issuer_unreachable:
        get_logger(__name__).warning(
            "issuer_not_set",
            detail=f"tokens name {settings.issuer_url} as their issuer, where nobody reaches it; "
            "set TOKENSVC_ISSUER to the public address",
        )
    with (
        # The ports come first: if one is taken, nothing has been made or started.
        server.bind_socket(settings) as listener,
        server.bind_own_ports(settings) as own_ports,
        signals.signals_before_serving(),
        lend_database_url(settings, workers, may_make=True) as url,
    ):
        if workers == 1:
            server.serve_one(settings, url, listener, announcements, own_ports)
        else:
            server.serve_many(settings, url, listener, announcements, workers, own_ports)


def _build_announcements(settings: Settings, supervisor: Supervisor) -> Announcements:
    from tokensvc.web.server import Announcements  # noqa: PLC0415 - as above

    process_id = os.getpid()

    def say_ready() -> None:
        # If stdout is closed, the service goes on without it.
        say(
            f"tokensvc {__version__} serves {_name_addresses(settings)} (process {process_id}); "
            "Ctrl-C stops it."
        )
        supervisor.say("READY=1")

    return Announcements(
        first_admin=lambda admin: show_first_admin(settings, admin),
        ready=say_ready,
    )


def _name_addresses(settings: Settings) -> str:
    """Return where the service is: by its public name and, if that is another place, by its own."""
    if settings.issuer in {"", settings.listening_url}:
        return settings.listening_url
    return f"{settings.issuer_url} on {settings.listening_url}"


@contextmanager
def share_metrics() -> Iterator[None]:
    """Let several processes count together, in a folder that is removed at the end.

    prometheus_client must be told of the folder before it is imported.
    """
    owner = os.getpid()
    folder = tempfile.mkdtemp(prefix="tokensvc-metrics-", dir=find_scratch_folder())
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        yield
    finally:
        # A worker that ends passes here as well, while others still count.
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)
