"""Judgements about this machine and what it has in common with the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.core.doctor.finding import Judgement
from tokensvc.core.errors import StartRefusedError
from tokensvc.core.service_identity import decide_identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokensvc.core.doctor.facts import (
        Disk,
        IdentityFacts,
        MasterKeyFacts,
        MigrationFacts,
        SettingsFacts,
    )

# A disk is full if less than this share of it is free.
_LEAST_SHARE: Final = 0.05
_ENOUGH_BYTES: Final = 10 * 1024**3  # so much is enough, however large the disk is
_NOT_STARTED: Final = "the next start of the service is refused"
_SHOWN: Final = 5


def judge_settings(settings: SettingsFacts) -> Judgement:
    """Judge settings that were read without a fault."""
    if settings.has_no_address:
        return Judgement(
            "fault",
            f"tokens name {settings.issuer} as their issuer, which is no address",
            "nobody can fetch the keys from there",
            "set TOKENSVC_ISSUER to the public address, before keys are given to anybody",
        )
    shown = ", ".join(settings.shown) or "all have their defaults"
    return Judgement("ok", shown)


def judge_disks(disks: Sequence[Disk]) -> Judgement:
    """Judge whether there is room where the service and Postgres write on this machine."""
    if not disks:
        return Judgement("unknown", "no folder of the service or of Postgres is on this machine")
    full = [disk for disk in disks if _is_full(disk)]
    # Of a large disk a smaller share may be free than of one that is full, and be enough.
    worst = min(full or disks, key=_find_free_share)
    what = f"{_find_free_share(worst):.0%} of the disk of {worst.folder} is free"
    without_files = [disk.folder for disk in disks if disk.free_files == 0]
    if not full and not without_files:
        return Judgement("ok", what)
    return Judgement(
        "fault",
        what if full else f"the disk of {without_files[0]} can hold no more files",
        "Postgres stops when it cannot write, and nothing is revoked then",
        f"du -xh {(worst.folder if full else without_files[0])} | sort -h | tail",
    )


def _is_full(disk: Disk) -> bool:
    return disk.free_bytes < min(_LEAST_SHARE * disk.total_bytes, _ENOUGH_BYTES)


def _find_free_share(disk: Disk) -> float:
    return disk.free_bytes / max(1, disk.total_bytes)


def judge_migrations(migrations: MigrationFacts) -> Judgement:
    """Judge whether the schema is that of this program."""
    if migrations.refusal is not None:
        return Judgement(
            "fault", migrations.refusal, _NOT_STARTED,
            "install the release that made the database, or restore the released files",
        )  # fmt: skip
    if migrations.missing:
        listed = ", ".join(migrations.missing[:_SHOWN])
        return Judgement(
            "fault",
            f"the database lacks {len(migrations.missing)} migration(s): {listed}",
            "a service of this version cannot use it",
            "tokensvc migrate",
        )
    return Judgement("ok", f"the newest is {migrations.newest}, and their checksums agree")


def judge_master_key(key: MasterKeyFacts) -> Judgement:
    """Judge whether the master key opens all that it must have sealed."""
    if key.refusal is not None and not key.sealed:
        return Judgement(
            "note", key.refusal, "nothing is sealed yet", "the first start makes it: tokensvc init"
        )
    if key.refusal is not None:
        return Judgement(
            "fault", key.refusal, _NOT_STARTED,
            "restore the file from your backup, with mode 0600, as the user of the service",
        )  # fmt: skip
    if not key.unopened:
        return Judgement("ok", f"the key in {key.place} opens all {key.sealed} sealed things")
    listed = ", ".join(key.unopened[:_SHOWN])
    # A wrong master key opens nothing. If this one opens some, the others were changed.
    if len(key.unopened) == key.sealed:
        return Judgement(
            "fault", f"{key.place} opens nothing of what is sealed: {listed}", _NOT_STARTED,
            "name the right master key: TOKENSVC_MASTER_KEY_FILE",
        )  # fmt: skip
    signing = [name.removeprefix("signing key ") for name in key.unopened if "signing" in name]
    return Judgement(
        "fault",
        f"{key.place} does not open {listed}",
        "their rows were changed in the database, by somebody without the master key",
        f"find out who can write it; tokensvc signing-key revoke {signing[0]}"
        if signing
        else "find out who can write it; tokensvc notice rotate-secret ID",
    )


def judge_identity(facts: IdentityFacts) -> Judgement:
    """Judge whether the database belongs to the issuer of the settings."""
    try:
        choice = decide_identity(facts.kept, facts.ours, former=facts.former)
    except StartRefusedError as error:
        return Judgement(
            "fault",
            error.message,
            _NOT_STARTED,
            "set TOKENSVC_ISSUER, or name the right database in TOKENSVC_DATABASE_URL",
        )
    if choice.warnings:
        return Judgement(
            "note",
            choice.warnings[0],
            "clients and relying parties may know the other one",
            "set TOKENSVC_ISSUER and TOKENSVC_KEY_PREFIX as they were",
        )
    issuer = choice.kept.issuer or "on loopback, for a trial"
    return Judgement("ok", f"settings and database agree: {issuer}")
