"""What the checks judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from tokensvc.core.primary import PrimaryProblem
    from tokensvc.core.service_identity import Identity

# How a connection gets to Postgres. A pooler that forgets prepared statements is unusable.
Way = Literal["direct", "session pooler", "transaction pooler", "forgetful pooler"]


class SettingsFacts(NamedTuple):
    """The settings that are set, as they may be shown.

    `has_no_address`: tokens name an issuer that nobody can reach, every address of the machine.
    """

    shown: Sequence[str]
    issuer: str
    has_no_address: bool


class RoleFacts(NamedTuple):
    """The role of the service. In an embedded Postgres it does everything, as nobody else can.

    `lacks`: the tables and functions that it may not use as it must. `owner`: of the tables; the
    empty string before there are any. `may_change_trail`: it could change the audit trail.
    """

    name: str
    owner: str
    is_superuser: bool
    is_owner: bool
    lacks: Sequence[str]
    may_change_trail: bool
    is_embedded: bool


class WayFacts(NamedTuple):
    """How the connections get to Postgres. `direct`: those of the direct URL, None without one."""

    usual: Way
    direct: Way | None


class StandbyFacts(NamedTuple):
    """The standbys, as the primary tells.

    `named`: `synchronous_standby_names`. `in_step`: how many are synchronous. `is_told`: whether
    the role may see the state of standbys.
    """

    named: str
    connected: int
    in_step: int
    is_told: bool


class Slot(NamedTuple):
    """A replication slot; `kept_bytes` of WAL are kept for it."""

    name: str
    is_active: bool
    wal_status: str | None
    kept_bytes: int


class SlotFacts(NamedTuple):
    """The slots, and how many megabytes one may keep at most, -1 for any number."""

    limit_megabytes: int
    slots: Sequence[Slot]


class MigrationFacts(NamedTuple):
    """`refusal`: why the database does not fit to the migrations of this program, None if it does.

    `missing`: what the database has not seen. `newest`: what it has seen last.
    """

    refusal: str | None
    missing: Sequence[str]
    newest: str | None

    @property
    def are_all_applied(self) -> bool:
        """Whether the tables are those that this program knows."""
        return self.refusal is None and not self.missing


class MasterKeyFacts(NamedTuple):
    """The master key, and what it seals.

    `refusal`: why it cannot be used, None if it can. `place`: where it comes from. `unopened`: the
    sealed things that it does not open. `sealed`: how many there are.
    """

    refusal: str | None
    place: str
    unopened: Sequence[str]
    sealed: int


class IdentityFacts(NamedTuple):
    """Who this service is by its settings, and who it is by its database."""

    kept: Identity | None
    ours: Identity
    former: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """What one look at the database has told; None for what could not be asked.

    `unfit`: what makes it unusable, and the way out; None if nothing does. `clock_difference`: by
    how many seconds Postgres's clock is ahead of that of this machine.
    """

    version: str
    way: WayFacts
    unfit: tuple[str, str] | None = None
    clock_difference: float | None = None
    role: RoleFacts | None = None
    standbys: StandbyFacts | None = None
    slots: SlotFacts | None = None
    migrations: MigrationFacts | None = None
    master_key: MasterKeyFacts | None = None
    identity: IdentityFacts | None = None


class PrimaryFacts(NamedTuple):
    """The hosts of the URL: how many, and what is wrong with those that take writes."""

    hosts: int
    problem: PrimaryProblem | None


class Disk(NamedTuple):
    """The file system of a folder of ours. `free_files`: None if it does not count them."""

    folder: str
    free_bytes: int
    total_bytes: int
    free_files: int | None


class Answer(NamedTuple):
    """What an address answered; the names of the headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class CertificateFacts(NamedTuple):
    """`ends_at`: None without TLS. `refusal`: why it is not trusted, None if it is."""

    ends_at: datetime | None
    refusal: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideFacts:
    """What those see who trust the issuer.

    An address that gave no answer has the reason in its place. `published`: the `kid` of each key
    that the service publishes, None if that is not known. `now`: Postgres's clock.
    """

    issuer: str
    now: datetime
    published: Sequence[str] | None
    jwks: Answer | str
    metadata: Answer | str
    feed: Answer | str
    certificate: CertificateFacts
