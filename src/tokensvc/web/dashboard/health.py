"""How the service is: Postgres, its schema, the clocks, the ledger, and the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.operations.operation import READERS
from tokensvc.web.dashboard.page import Page, Redirect, View

if TYPE_CHECKING:
    from tokensvc.web.dashboard.page import Visit

_CHECKS: Final = {
    "serving": "Requests are taken; the process is not leaving",
    "database": "Postgres has confirmed what the process knows, in the last seconds",
    "signing_key": "There is a key to sign with",
    "ledger": "Postgres judges requests in time",
    "clock": "Postgres's clock can be believed",
}
_ORDER: Final = ("fault", "note", "unknown", "ok")
_NOTABLE_SECONDS: Final = 1.0
_MEGABYTE: Final = 1_000_000
_MILLISECONDS: Final = 1000


async def show_health(visit: Visit) -> View | Redirect:
    """Show how the service is."""
    health = await visit.run("health.show")
    shows_all = visit.query.get("settings") == "all"
    process = health.process
    took = None if process is None else process.statement_seconds
    return View(
        {
            "health": health,
            "process": process,
            "checks": []
            if process is None
            else [(_CHECKS.get(name, name), holds) for name, holds in process.checks.items()],
            "is_well": process is not None and all(process.checks.values()),
            "answer": f"{health.database.answer_seconds * _MILLISECONDS:.1f}",
            "took": None if took is None else f"{took * _MILLISECONDS:.1f}",
            "per_statement": None
            if process is None or not process.statements
            else f"{process.judged / process.statements:.1f}",
            "megabytes": round(health.database.size_bytes / _MEGABYTE),
            "difference": _write_difference(health.clock_difference_seconds),
            "differs": abs(health.clock_difference_seconds) > _NOTABLE_SECONDS,
            "settings": [each for each in health.settings if shows_all or each.source != "default"],
            "shows_all": shows_all,
        }
    )


async def show_doctor(visit: Visit) -> View | Redirect:
    """Show what is wrong with the set-up, and what mends it; faults stand first."""
    told = await visit.run("doctor.show")
    findings = sorted(told.findings, key=lambda finding: _ORDER.index(finding.state))
    faults = sum(finding.state == "fault" for finding in findings)
    return View({"findings": findings, "faults": faults})


def _write_difference(seconds: float) -> str:
    """Return a difference of clocks in milliseconds, with its sign: "+3"."""
    difference = round(seconds * _MILLISECONDS)
    return f"{difference:+d}" if difference else "0"


PAGES: Final = (
    Page(path="/health", act=show_health, template="health/page.html", needs=READERS),
    Page(path="/health/doctor", act=show_doctor, template="health/doctor.html", needs=READERS),
)
