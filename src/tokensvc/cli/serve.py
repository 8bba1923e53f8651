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
from tokensvc.cli.database import lend_database_url
from tokensvc.issuer.database import open_primary
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
    help="How many processes answer requests.",
)
def command(workers: int) -> None:
    """Run the service until Ctrl-C or SIGTERM.

    Requests in flight are answered before it ends. Logs are JSON lines on stderr.

    The first start prepares everything: the schema, the master key, the signing keys, the default
    audience, and an admin API key, which is shown once.
    """
    settings = load_settings()
    with share_metrics() if workers > 1 else nullcontext():
        _serve(settings, workers)


def _serve(settings: Settings, workers: int) -> None:
    # Imported here because it imports prometheus_client, which must know before where metrics lie.
    from tokensvc.web.server import bind_socket, serve_many, serve_one  # noqa: PLC0415

    configure_logs(settings.log_level)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    listener = bind_socket(settings)
    with lend_database_url(settings) as url:
        asyncio.run(_initialise(settings, url))

        def announce_ready() -> None:
            click.echo(
                f"tokensvc {__version__} serves {settings.issuer_url} (process {os.getpid()}); "
                "Ctrl-C stops it."
            )
            sys.stdout.flush()

        if workers == 1:
            serve_one(settings, url, listener, announce_ready)
        else:
            serve_many(settings, url, listener, announce_ready, workers)


@contextmanager
def share_metrics() -> Iterator[None]:
    """Let several processes count together, in a folder that is removed at the end.

    prometheus_client must be told of the folder before it is imported.
    """
    folder, owner = tempfile.mkdtemp(prefix="tokensvc-metrics-"), os.getpid()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    try:
        yield
    finally:
        # A worker that ends passes here as well, while others still count.
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)


async def _initialise(settings: Settings, url: str) -> None:
    def announce(admin: NewKey) -> None:
        click.echo(_greet(settings, admin))
        sys.stdout.flush()

    database = await open_primary(settings, url, max_size=2)
    try:
        await initialise(database, settings, announce)
    finally:
        await database.close()


def _greet(settings: Settings, admin: NewKey) -> str:
    url, key, key_id = settings.issuer_url, admin.key.text, admin.listed.record.id
    return f"""\
This is the first start. An admin API key was made. It is shown this once, so store it now:

    {key}

Try it in another terminal:

    curl -s -X POST {url}/v1/token -H 'Authorization: Bearer {key}'
    curl -s -X POST {url}/v1/token -u '{key_id}:{key}' -d grant_type=client_credentials
    curl -s {url}/.well-known/jwks.json
    curl -s '{url}/v1/denylist'

Next: tokensvc account create NAME, then tokensvc key create (`--help` shows examples).
"""
