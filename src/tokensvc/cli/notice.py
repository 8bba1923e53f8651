"""`tokensvc notice`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tokensvc.cli.duration import Duration, whole_seconds
from tokensvc.cli.moment import Moment
from tokensvc.cli.naming import ACCOUNT, ENDPOINT, KEY, SIGNING_KEY, mention, reference
from tokensvc.cli.output import (
    confirm,
    list_output_option,
    output_option,
    print_message,
    print_pages,
    print_row,
    yes_option,
)
from tokensvc.cli.run import call, call_pages, given, limit_option

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from tokensvc.cli.output import Row

_events = click.option(
    "--event", "events", multiple=True, help="Only this event; repeat it for several."
)
_account = reference(
    ACCOUNT, "account", click.option("--account", help="Only those of this account.")
)


@click.group("notice")
def command() -> None:
    """Who is told of events: receivers on the web, and mailboxes."""


@command.command("create")
@click.argument("url")
@reference(
    ACCOUNT,
    "account",
    click.option("--account", help="Whose events; without it those of the whole service."),
)
@_events
@click.option("--description", help="What the endpoint is.")
@output_option
def create(url: str, events: tuple[str, ...], output: str, **options: Any) -> None:
    """Add an endpoint, and print its secret this once.

    \b
    tokensvc notice create https://hooks.example/tokens --event key.revoked
    tokensvc notice create mailto:ops@example.com --account acct_...
    """
    fields = given(events=list(events) or None, **options)
    made = call("notice-endpoints.create", {"url": url, **fields})
    _print_new(made, output)
    if output == "text" and made["kind"] == "mail":
        print_message("a link was sent there; nothing else is sent before it is confirmed")


@command.command("list")
@_account
@limit_option()
@list_output_option
def list_(account: str | None, output: str) -> None:
    """List endpoints."""
    print_pages(
        call_pages("notice-endpoints.list", given(account=account)),
        output,
        columns=["id", "state", "url", "account", "events"],
        empty="no endpoints yet: tokensvc notice create URL",
    )


@command.command("show")
@reference(ENDPOINT, "endpoint_id")
@output_option
def show(endpoint_id: str, output: str) -> None:
    """Show one endpoint. Its secret is not shown."""
    print_row(call("notice-endpoints.show", {"id": endpoint_id}), output)


@command.command("update")
@reference(ENDPOINT, "endpoint_id")
@click.option("--url", help="A new URL.")
@_events
@click.option("--all-events", is_flag=True, help="Every event.")
@click.option("--description", help="What the endpoint is.")
@click.option("--enable/--disable", "enabled", default=None, help="Deliver again, or no more.")
@output_option
def update(
    endpoint_id: str, events: tuple[str, ...], output: str, *, all_events: bool, **options: Any
) -> None:
    """Change an endpoint. What is not given stays as it is."""
    wanted = list(events) if events or all_events else None
    fields = given(events=wanted, **options)
    print_row(call("notice-endpoints.update", {"id": endpoint_id, **fields}), output)


@command.command("rotate-secret")
@reference(ENDPOINT, "endpoint_id")
@click.option(
    "--grace",
    type=Duration("now"),
    default="24h",
    show_default=True,
    help="How long the old secret signs as well: now, 1h, 7d.",
)
@output_option
def rotate_secret(endpoint_id: str, grace: timedelta, output: str) -> None:
    """Make a new secret, and print it this once."""
    request = {"id": endpoint_id, "grace": whole_seconds(grace)}
    _print_new(call("notice-endpoints.rotate-secret", request), output)


@command.command("test")
@reference(ENDPOINT, "endpoint_id")
@output_option
def test(endpoint_id: str, output: str) -> None:
    """Send a test, or once more the link that confirms a mailbox."""
    print_row(call("notice-endpoints.test", {"id": endpoint_id}), output)


@command.command("delete")
@reference(ENDPOINT, "endpoint_id")
@yes_option
@output_option
def delete(endpoint_id: str, output: str, *, yes: bool) -> None:
    """Remove an endpoint. What waits for it is not sent."""
    confirm(f"Delete {endpoint_id}?", yes=yes)
    print_row(call("notice-endpoints.delete", {"id": endpoint_id}), output)


@command.command("deliveries")
@_account
@reference(ENDPOINT, "endpoint", click.option("--endpoint", help="Only those to this endpoint."))
@click.option("--event", help="Only those of this event.")
@click.option("--state", type=click.Choice(["waiting", "delivered", "failed"]), help="Only such.")
@limit_option(50)
@list_output_option
def deliveries(output: str, **filters: str | None) -> None:
    """List what was sent to whom, newest first."""
    print_pages(
        call_pages("notice-deliveries.list", given(**filters)),
        output,
        columns=["id", "event", "state", "created_at", "attempts", "subject", "endpoint", "error"],
        empty="no such deliveries",
    )


@command.command("redeliver")
@click.argument("delivery_id")
@output_option
def redeliver(delivery_id: str, output: str) -> None:
    """Send a notice to its endpoint once more."""
    print_row(call("notice-deliveries.redeliver", {"id": delivery_id}), output)


@command.command("events")
@_account
@click.option("--event", help="Only this event.")
@mention(
    "subject",
    "notices.list",
    [KEY, ACCOUNT, SIGNING_KEY],
    click.option("--subject", help="Only events of this key, account or other thing."),
)
@click.option("--since", type=Moment(), help="Only events from this moment on.")
@limit_option(50)
@list_output_option
def events(since: datetime | None, output: str, **filters: str | None) -> None:
    """List the events of the last 30 days, newest first."""
    wanted = given(since=since and since.isoformat(), **filters)
    print_pages(
        call_pages("notices.list", wanted),
        output,
        columns=["at", "event", "subject", "number", "account"],
        empty="no such events",
    )


def _print_new(made: Row, output: str) -> None:
    print_row({"id": made["id"], "secret": made["secret"], **made}, output)
    if output == "text" and made["secret"] is not None:
        print_message("the secret is shown this once: store it now")
