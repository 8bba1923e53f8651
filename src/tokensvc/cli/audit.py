"""`tokensvc audit`.

`audit list` and `audit show` are operations. The other commands work on the whole trail, on the
machine of the database alone, so they import what they need by themselves.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from tokensvc.cli.moment import Moment
from tokensvc.cli.naming import ACCOUNT, ENDPOINT, KEY, SIGNING_KEY, mention
from tokensvc.cli.output import (
    confirm,
    list_output_option,
    output_option,
    print_pages,
    print_row,
    yes_option,
)
from tokensvc.cli.run import call, call_pages, given, limit_option
from tokensvc.core.errors import InvalidInputError

if TYPE_CHECKING:
    from datetime import datetime
    from io import BufferedReader


@click.group("audit")
def command() -> None:
    """The audit trail: who changed what, and when."""


@command.command("list")
@click.option("--since", type=Moment(), help="Only events from this moment on.")
@click.option("--until", type=Moment(), help="Only events before this moment.")
@mention(
    "actor",
    "audit-events.list",
    [KEY],
    click.option("--actor", help="Only events by this key, person or task."),
)
@click.option("--operation", help="Only events of this operation, like keys.revoke.")
@mention(
    "subject",
    "audit-events.list",
    [KEY, ACCOUNT, ENDPOINT, SIGNING_KEY],
    click.option("--subject", help="Only events of this key, account or other thing."),
)
@click.option("--request-id", help="Only events of the request with this id.")
@limit_option(50)
@list_output_option
def list_(
    since: datetime | None,
    until: datetime | None,
    output: str,
    **filters: str | None,
) -> None:
    """List events, newest first."""
    wanted = given(
        since=since and since.isoformat(),
        until=until and until.isoformat(),
        **filters,
    )
    print_pages(
        call_pages("audit-events.list", wanted),
        output,
        columns=["number", "at", "operation", "subject", "actor", "detail"],
        empty="nothing has happened",
    )


@command.command("show")
@click.option(
    "--newest",
    type=click.IntRange(0, 10_000),
    default=1000,
    show_default=True,
    help="How many of the newest events to check.",
)
@output_option
def show(newest: int, output: str) -> None:
    """Show where the trail ends, and check its newest events.

    `audit verify` checks all of them, with the rights of the machine of the database.
    """
    print_row(call("audit-trail.show", {"newest": newest}), output)


@command.command("export")
@click.option("--after", type=int, help="Only events with numbers above this one.")
def export(after: int | None) -> None:
    """Print all events as lines of JSON, oldest first.

    `audit verify --file` checks such lines, without the database.
    """
    from tokensvc.cli.database import run_use_case  # noqa: PLC0415
    from tokensvc.issuer.admin.audit_check import export_trail  # noqa: PLC0415

    run_use_case(
        lambda database, settings: export_trail(
            database,
            settings,
            lambda line: click.echo(json.dumps(line, ensure_ascii=False)),
            after=after,
        ),
        changes=False,
    )


@command.command("verify")
@click.option(
    "--file", "exported", type=click.File("rb"), help="Check an export instead of the database."
)
@click.option(
    "--witness",
    "kept",
    type=click.File("rb"),
    help="Also compare with what a follower has seen: its snapshot file.",
)
@output_option
@click.pass_context
def verify(
    context: click.Context,
    exported: BufferedReader | None,
    kept: BufferedReader | None,
    output: str,
) -> None:
    """Check that no event was changed, taken out or put in.

    The first one that does not fit is named. The check begins at the newest checkpoint, whose
    signature is checked too. Of an export, what it begins with is taken as given.
    """
    from tokensvc.core.audit_chain import BrokenChainError  # noqa: PLC0415
    from tokensvc.core.audit_export import check_export  # noqa: PLC0415

    try:
        if exported is not None:
            chain = check_export(exported)
            print_row({"status": "whole", "number": chain.number, "hash": chain.hash.hex()}, output)
            return
        from tokensvc.cli.database import run_use_case  # noqa: PLC0415
        from tokensvc.issuer.admin.audit_check import verify_trail  # noqa: PLC0415

        whole = run_use_case(verify_trail, changes=False)
        compared = None if kept is None else _compare(kept)
    except BrokenChainError as error:
        number, reason = error.found
        print_row({"status": "broken", "number": number, "reason": reason}, output)
        context.exit(1)
    begin, head = whole
    row = {
        "status": "whole",
        "checkpoint": None if begin is None else begin.number,
        "number": head.number,
        "hash": head.hash.hex(),
    }
    if compared is not None:
        row["compared"] = compared
    print_row(row, output)


def _compare(kept: BufferedReader) -> int:
    """Compare the trail with what a follower keeps; return how many heads were compared."""
    from tokensvc.cli.database import run_use_case  # noqa: PLC0415
    from tokensvc.core.audit_witness import parse_witness  # noqa: PLC0415
    from tokensvc.core.digest_line import find_content_end  # noqa: PLC0415
    from tokensvc.issuer.admin.audit_check import compare_with_witness  # noqa: PLC0415
    from tokensvc.settings import load_settings  # noqa: PLC0415

    text, ours = kept.read(), load_settings().issuer_url
    try:
        # The file has a line of JSON, and a line with its digest.
        line = json.loads(text.partition(b"\n")[0])
        issuer = line["issuer"]
        witness = parse_witness((line["denylist"] or {}).get("audit"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise click.UsageError("--witness must name the snapshot file of a follower") from error
    if find_content_end(text) is None:
        raise InvalidInputError("the snapshot file is damaged: it does not fit to its digest")
    if issuer != ours:
        raise InvalidInputError(
            f"the snapshot file is of {str(issuer)[:200]!r}, and this service is {ours!r}: "
            "set TOKENSVC_ISSUER as the service has it"
        )
    return run_use_case(lambda database, _: compare_with_witness(database, witness), changes=False)


@command.command("prune")
@click.option("--before", type=Moment(), required=True, help="Delete the events before it.")
@yes_option
@output_option
def prune(before: datetime, output: str, *, yes: bool) -> None:
    """Delete old events, behind a signed checkpoint.

    This takes the rights of the owner of the tables. The events are checked first. The hash of the
    last of them is signed and kept: keep it elsewhere too, with an export of what is deleted.
    """
    from tokensvc.cli.database import actor, run_use_case  # noqa: PLC0415
    from tokensvc.issuer.admin.audit_prune import prune_events  # noqa: PLC0415

    confirm(f"Delete all events before {before:%Y-%m-%d %H:%M:%S %Z}? Export them first.", yes=yes)
    made = run_use_case(
        lambda database, settings: prune_events(database, settings, before, actor=actor())
    )
    if made is None:
        print_row({"number": None, "hash": None, "checkpoint": None}, output)
    else:
        row = {"number": made.number, "hash": made.hash.hex(), "checkpoint": made.jws}
        print_row(row, output)


@command.command("declare-reset")
@click.option("--reason", required=True, help="Why the trail is older than it was.")
@output_option
def reset(reason: str, output: str) -> None:
    """Declare that a restored backup took the trail back.

    Followers that have seen newer events learn that it was meant. It is done with the rights of the
    owner.
    """
    from tokensvc.cli.database import actor, run_use_case  # noqa: PLC0415
    from tokensvc.issuer.admin.audit_prune import declare_reset  # noqa: PLC0415

    head = run_use_case(
        lambda database, settings: declare_reset(database, settings, reason, actor=actor())
    )
    print_row({"number": head.number, "hash": head.hash.hex(), "epoch": head.epoch}, output)
