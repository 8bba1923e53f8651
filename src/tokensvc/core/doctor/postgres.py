"""Judgements about Postgres: its version, the role, the way to it, clocks, standbys, WAL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokensvc.core.clock import TOLERANCE
from tokensvc.core.doctor.finding import Judgement
from tokensvc.core.primary import WAYS_OUT

if TYPE_CHECKING:
    from tokensvc.core.doctor.facts import (
        DatabaseFacts,
        PrimaryFacts,
        RoleFacts,
        SlotFacts,
        StandbyFacts,
        WayFacts,
    )

# The clocks of machines that NTP keeps differ by far less.
_NOTABLE_SECONDS: Final = 1.0
_MEGABYTE: Final = 1024 * 1024
_SHOWN: Final = 5
_GRANT: Final = "as the owner of the tables ({owner}): select grant_service_rights('{role}');"
_NO_LIMIT: Final = (
    "alter system set max_slot_wal_keep_size = '10GB'; select pg_reload_conf(); "
    "as much as the disk of the WAL can spare"
)


def judge_version(facts: DatabaseFacts) -> Judgement:
    """Judge whether this Postgres can hold the tables."""
    if facts.unfit is None:
        return Judgement("ok", f"Postgres {facts.version}")
    wrong, way_out = facts.unfit
    return Judgement("fault", wrong, "the next start of the service is refused", way_out)


def judge_role(role: RoleFacts) -> Judgement:
    """Judge what the role of the service may do: all that it must, and not much more."""
    if role.lacks:
        more = len(role.lacks) - _SHOWN
        listed = ", ".join(role.lacks[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        return Judgement(
            "fault",
            f"the role {role.name} may not use {listed} as it must",
            "requests that need it fail",
            _GRANT.format(owner=role.owner, role=role.name),
        )
    if role.is_embedded:
        return Judgement("ok", "the embedded Postgres is the service's own")
    if role.is_owner or role.is_superuser:
        how = "is a superuser" if role.is_superuser else "owns the tables"
        return Judgement(
            "note",
            f"the role {role.name} {how}",
            "who takes over a process of the service can change the audit trail",
            "give the tables an owner of their own: docs/operations.md, two roles",
        )
    if role.may_change_trail:
        return Judgement(
            "fault",
            f"the role {role.name} may change the audit trail",
            "who takes over a process of the service can hide what they did",
            _GRANT.format(owner=role.owner, role=role.name),
        )
    return Judgement("ok", f"the role {role.name} may do what it must, and no more")


def judge_way(way: WayFacts) -> Judgement:
    """Judge whether a pooler in between can be used."""
    if "forgetful pooler" in way:
        return Judgement(
            "fault",
            "the pooler forgets prepared statements",
            "requests fail at random",
            "use PgBouncer 1.21 or newer with max_prepared_statements = 200, or its session mode",
        )
    if way.direct == "transaction pooler":
        return Judgement(
            "fault",
            "TOKENSVC_DIRECT_DATABASE_URL leads through a pooler",
            "no NOTIFY arrives, and counting exchanges waits for the disk",
            "name the host and port of Postgres itself there",
        )
    if way.usual == "transaction pooler" and way.direct is None:
        return Judgement(
            "note",
            "all connections go through a pooler in transaction mode",
            "processes learn of revocations half a second late, and exchanges take longer",
            "set TOKENSVC_DIRECT_DATABASE_URL to the address of Postgres itself",
        )
    if way.usual == "direct":
        return Judgement("ok", "connections go to Postgres itself")
    past_it = "" if way.direct is None else ", with a direct way past it"
    return Judgement("ok", f"connections go through a {way.usual}{past_it}")


def judge_clock(difference: float) -> Judgement:
    """Judge by how many seconds Postgres's clock is ahead of that of this machine."""
    side = "ahead of" if difference > 0 else "behind"
    what = f"Postgres's clock is {abs(difference):.1f} s {side} the clock of this machine"
    if abs(difference) <= _NOTABLE_SECONDS:
        return Judgement("ok", what)
    way_out = "set the wrong clock right, on its machine: chronyc makestep"
    if abs(difference) <= TOLERANCE:
        why = f"beyond {TOLERANCE:g} s, a process that starts issues no token"
        return Judgement("note", what, why, way_out)
    why = "a process that starts now issues no token, and nothing that has expired is deleted"
    return Judgement("fault", what, why, way_out)


def judge_primaries(facts: PrimaryFacts) -> Judgement:
    """Judge whether one host alone takes writes."""
    if facts.problem is not None:
        return Judgement(
            "fault",
            facts.problem.detail,
            "an old primary does not know what was revoked since the failover",
            WAYS_OUT[facts.problem.kind],
        )
    if facts.hosts == 1:
        return Judgement("ok", "the URL names one host")
    return Judgement("ok", f"one of {facts.hosts} hosts takes writes")


def judge_standbys(standbys: StandbyFacts) -> Judgement:
    """Judge whether a synchronous standby that commits wait for is there."""
    if not standbys.named:
        return Judgement(
            "ok", f"commits wait for no standby; connected standbys: {standbys.connected}"
        )
    if standbys.in_step:
        return Judgement("ok", f"synchronous standbys in step: {standbys.in_step}")
    if standbys.connected and not standbys.is_told:
        return Judgement(
            "unknown",
            f"standbys are connected, and this role may not see whether {standbys.named} is one",
            "without a synchronous standby no revocation is acknowledged",
            "as a superuser: grant pg_monitor to ROLE;",
        )
    return Judgement(
        "fault",
        f"synchronous_standby_names is {standbys.named}, and no such standby is connected",
        "no revocation is acknowledged: each waits, and then gets 503 revocation_pending",
        "start the standby; or give it up: alter system set synchronous_standby_names = ''; "
        "select pg_reload_conf();",
    )


def judge_slots(facts: SlotFacts) -> Judgement:
    """Judge whether a replication slot can fill the disk of the WAL."""
    lost = [slot.name for slot in facts.slots if slot.wal_status == "lost"]
    if lost:
        return Judgement(
            "fault",
            f"the slot {lost[0]} has lost WAL that its standby needs",
            "that standby cannot follow any more",
            f"select pg_drop_replication_slot('{lost[0]}'); and make the standby anew",
        )
    idle = [slot for slot in facts.slots if not slot.is_active]
    why = "a slot that nobody reads keeps all WAL until the disk is full, and then Postgres stops"
    if not facts.slots:
        return Judgement("ok", "there is none, so none keeps WAL")
    if facts.limit_megabytes >= 0:
        return Judgement("ok", f"each keeps {facts.limit_megabytes} MB of WAL at most")
    if idle:
        kept = idle[0].kept_bytes // _MEGABYTE
        return Judgement(
            "fault",
            f"nobody reads the slot {idle[0].name}, which keeps {kept} MB of WAL so far, and "
            "max_slot_wal_keep_size sets no limit",
            why,
            f"select pg_drop_replication_slot('{idle[0].name}'); or {_NO_LIMIT}",
        )
    return Judgement(
        "note", f"{len(facts.slots)} slot(s), and max_slot_wal_keep_size sets no limit", why,
        _NO_LIMIT,
    )  # fmt: skip
