"""`tokensvc doctor`."""

from __future__ import annotations

import json
import textwrap
import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from tokensvc.cli.exit_codes import ExitCode
from tokensvc.cli.output import find_room, no_color_option, plain_output_option
from tokensvc.cli.outside import look_from_outside
from tokensvc.cli.run import call
from tokensvc.cli.target import find_target
from tokensvc.core.doctor.finding import Finding, Judgement, name_finding
from tokensvc.core.doctor.table import examine_outside, refuse_settings
from tokensvc.core.errors import StartRefusedError, TokensvcError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.cli.target import Target

_COLORS: Final = {"ok": "green", "note": "yellow", "fault": "red", "unknown": "yellow"}
_WIDEST: Final = 100


@click.command("doctor")
@plain_output_option
@no_color_option
@click.pass_context
def command(context: click.Context, output: str) -> None:
    """Look for faults of the set-up, and say what mends them.

    On the host, settings, disk, database and keys are looked at as they are, also while the service
    does not run. With --url or a profile, the service looks itself. Either way this machine fetches
    keys, metadata and feed from the issuer, as everybody does who trusts it.

    Ends with 0 if no fault was found, and with 5 otherwise.
    """
    target = find_target()
    findings = _examine_host() if target is None else _examine_far(target)
    if output == "json":
        click.echo(json.dumps([finding._asdict() for finding in findings]))
    else:
        _print(findings)
    if any(finding.state == "fault" for finding in findings):
        context.exit(ExitCode.REFUSED)


def _examine_host() -> Sequence[Finding]:
    """Look at the database of this machine, as far as it can be opened."""
    from tokensvc.cli.database import Session  # noqa: PLC0415 - the extra [cli] has no database
    from tokensvc.issuer.doctor import examine_service  # noqa: PLC0415

    try:
        session = Session(is_checked=False)
    except StartRefusedError as error:
        return [refuse_settings(error.message)]
    with closing(session):
        examined = session.run(examine_service(session.database, session.settings))
        issuer = session.settings.issuer_url
    return [*examined.findings, *_look_outside(issuer, examined.at, examined.published)]


def _examine_far(target: Target) -> Sequence[Finding]:
    """Have a service look at itself; look at it from outside whether it answers or not."""
    try:
        told = call("doctor.show")
    except TokensvcError as error:
        judgement = Judgement(
            "fault",
            error.message,
            "nothing inside of the service could be looked at",
            "on its machine: tokensvc doctor",
        )
        return [name_finding("service", judgement), *_look_outside(target.url, None, None)]
    findings = [Finding(**finding) for finding in told["findings"]]
    at = None if told["at"] is None else datetime.fromisoformat(told["at"])
    return [*findings, *_look_outside(told["issuer"], at, told["published"])]


def _look_outside(
    issuer: str, at: datetime | None, published: Sequence[str] | None
) -> Sequence[Finding]:
    # Pages are dated by Postgres's clock, so it is used if it is known.
    now = datetime.fromtimestamp(time.time(), UTC) if at is None else at
    return list(examine_outside(look_from_outside(issuer, now, published)))


def _print(findings: Sequence[Finding]) -> None:
    """Print what each check has found, and below each fault why it matters and what mends it."""
    width = max(len(finding.check) for finding in findings)
    room = min(find_room() or _WIDEST, _WIDEST)
    for finding in findings:
        state = click.style(f"{finding.state:<7}", fg=_COLORS[finding.state])
        lines = [("", finding.what), ("why: ", finding.why), ("do: ", finding.way_out)]
        told = "\n".join(_indent(f"{name}{text}", width + 11, room) for name, text in lines if text)
        click.echo(f"{state}  {finding.check:<{width}}  {told.lstrip()}")
    faults = sum(finding.state == "fault" for finding in findings)
    checks = f"{len(findings)} check{'' if len(findings) == 1 else 's'}"
    click.echo(f"\n{checks}, {faults or 'no'} fault{'' if faults == 1 else 's'}")


def _indent(text: str, width: int, room: int) -> str:
    """Return a text in lines that begin below the words of the check."""
    return textwrap.fill(
        text,
        room,
        initial_indent=" " * width,
        subsequent_indent=" " * width,
        break_long_words=False,
        break_on_hyphens=False,
    )
