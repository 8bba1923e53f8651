"""The table of checks: each is a name and a judgement of facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.doctor.finding import Finding, Judgement, name_finding
from tokensvc.core.doctor.machine import (
    judge_disks,
    judge_identity,
    judge_master_key,
    judge_migrations,
    judge_settings,
)
from tokensvc.core.doctor.outside import (
    judge_certificate,
    judge_feed,
    judge_jwks,
    judge_metadata,
)
from tokensvc.core.doctor.postgres import (
    judge_clock,
    judge_primaries,
    judge_role,
    judge_slots,
    judge_standbys,
    judge_version,
    judge_way,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tokensvc.core.doctor.facts import (
        DatabaseFacts,
        Disk,
        OutsideFacts,
        PrimaryFacts,
        SettingsFacts,
    )

# By the names of the checks: the field of DatabaseFacts that each judges, or None for all of them.
DATABASE_CHECKS: Final[Mapping[str, tuple[str | None, Callable[[Any], Judgement]]]] = {
    "postgres": (None, judge_version),
    "pooler": ("way", judge_way),
    "clock": ("clock_difference", judge_clock),
    "synchronous standby": ("standbys", judge_standbys),
    "replication slots": ("slots", judge_slots),
    "role": ("role", judge_role),
    "migrations": ("migrations", judge_migrations),
    "master key": ("master_key", judge_master_key),
    "issuer": ("identity", judge_identity),
}
OUTSIDE_CHECKS: Final[Mapping[str, Callable[[OutsideFacts], Judgement]]] = {
    "jwks": judge_jwks,
    "metadata": judge_metadata,
    "feed": judge_feed,
    "certificate": judge_certificate,
}

_NOT_ASKED: Final = Judgement(
    "unknown", "it was not looked at, because of a fault above or a right that the role lacks"
)


def examine(
    settings: SettingsFacts,
    disks: Sequence[Disk],
    primaries: PrimaryFacts,
    database: DatabaseFacts | str,
) -> Iterator[Finding]:
    """Yield the findings about a service, its machine and its database.

    `database`: what it told, or why it told nothing.
    """
    yield name_finding("settings", judge_settings(settings))
    yield name_finding("disk", judge_disks(disks))
    yield name_finding("two primaries", judge_primaries(primaries))
    for check, (field, judge) in DATABASE_CHECKS.items():
        if isinstance(database, str):
            # The silence is one fault; what it hides is not known.
            judgement = _judge_silence(database) if field is None else _NOT_ASKED
        else:
            fact = database if field is None else getattr(database, field)
            judgement = _NOT_ASKED if fact is None else judge(fact)
        yield name_finding(check, judgement)


def examine_outside(facts: OutsideFacts) -> Iterator[Finding]:
    """Yield the findings about what others see of the issuer."""
    for check, judge in OUTSIDE_CHECKS.items():
        yield name_finding(check, judge(facts))


def refuse_settings(reason: str) -> Finding:
    """Return the finding about settings that cannot be used."""
    return name_finding(
        "settings",
        Judgement(
            "fault",
            reason,
            "neither the service nor a command can start",
            "correct what is named; then: tokensvc settings",
        ),
    )


def _judge_silence(reason: str) -> Judgement:
    return Judgement(
        "fault",
        reason,
        "no token is issued and nothing is revoked while the database cannot be used",
        "see that Postgres runs, and that TOKENSVC_DATABASE_URL leads to it",
    )
