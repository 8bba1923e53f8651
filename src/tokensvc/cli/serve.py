"""`tokensvc serve`."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

from tokensvc import __version__
from tokensvc.cli.session import database_url
from tokensvc.issuer.database import open_database
from tokensvc.issuer.start import initialise
from tokensvc.logs.configuration import configure_logs
from tokensvc.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokensvc.issuer.admin.api_keys import NewKey


@click.command("serve")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes that answer requests.",
)
def command(workers: int) -> None:
    """Run the service until Ctrl-C or SIGTERM; requests in flight are answered first.

    The first start prepares everything: schema, master key, signing keys, default audience, and an admin API key that is shown once.
    Logs are JSON lines on stderr.
    """
    settings = load_settings()
    with shared_metrics() if workers > 1 else nullcontext():
        _serve(settings, workers)


def _serve(settings: Settings, workers: int) -> None:
    from tokensvc.web.server import bind_socket, serve_many, serve_one  # noqa: PLC0415 - after it is settled where metrics are kept

    configure_logs(settings.log_level)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    listener = bind_socket(settings)
    with database_url(settings) as url:
        asyncio.run(_initialise(settings, url))

        def ready() -> None:
            click.echo(
                f"tokensvc {__version__} serves {settings.issuer_url} (process {os.getpid()}); Ctrl-C stops it."
            )
            sys.stdout.flush()

        if workers == 1:
            serve_one(settings, url, listener, ready)
        else:
            serve_many(settings, url, listener, ready, workers)


@contextmanager
def shared_metrics() -> Iterator[None]:
    """Let several processes count together: prometheus_client wants to be told of a folder before it is imported."""
    folder, owner = tempfile.mkdtemp(prefix="tokensvc-metrics-"), os.getpid()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        yield
    finally:
        if os.getpid() == owner:  # a worker that ends passes here as well, while others still count
            shutil.rmtree(folder, ignore_errors=True)


async def _initialise(settings: Settings, url: str) -> None:
    def announce(admin: NewKey) -> None:
        click.echo(_greet(settings, admin))
        sys.stdout.flush()

    database = await open_database(url, max_size=2, direct_url=settings.direct_url)
    try:
        await initialise(database, settings, announce)
    finally:
        await database.close()


def _greet(settings: Settings, admin: NewKey) -> str:
    url, key, listed = settings.issuer_url, admin.key, admin.listed
    return "\n".join(
        [
            "This is the first start. An admin API key was made; it is shown this once, so store it now:",
            "",
            f"    {key.text}",
            "",
            "Try it in another terminal:",
            "",
            f"    curl -s -X POST {url}/v1/token -H 'Authorization: Bearer {key.text}'",
            f"    curl -s -X POST {url}/v1/token -u '{listed.record.id}:{key.text}' -d grant_type=client_credentials",
            f"    curl -s {url}/.well-known/jwks.json",
            f"    curl -s '{url}/v1/denylist'",
            "",
            "Next: tokensvc account create NAME, then tokensvc key create (`--help` shows examples).",
            "",
        ]
    )
