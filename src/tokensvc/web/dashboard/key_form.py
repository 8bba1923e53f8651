"""What a form for a new key begins with: nothing, what another key has, or a named start."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from tokensvc.core.capability import KEYS, is_for_service
from tokensvc.core.granting import lie_within

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

_DAY: Final = 86_400
PRESETS: Final = (7, 30, 90, 180, 365)  # days
_HOUR: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What stands in the form at first. `expires_in`: seconds as the form has them; "": never."""

    name: str = ""
    account: str = ""
    description: str = ""
    capabilities: Sequence[str] = ()
    audiences: Sequence[str] = ()
    networks: Sequence[str] = ()
    tier: str | None = None
    own_per_minute: int | None = None
    own_per_day: int | None = None
    expires_in: str = ""
    self_rotation: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)
    claims: Mapping[str, Any] = field(default_factory=dict)

    def narrow(
        self,
        own: Any,  # noqa: ANN401 - a model of the operations
        offered: Sequence[str],
        longest_life: int | None,
    ) -> Beginning:
        """Return it as far as it can be given by a caller whose own key is `own`.

        So a form that nobody has changed is not refused. `offered`: the audiences that the caller
        may give. `longest_life`: of a key, in seconds, None if there is no limit. Capabilities need
        nothing: the form has boxes for those alone that the caller may give.
        """
        audiences = [name for name in self.audiences if name in offered]
        networks = [each for each in self.networks if lie_within([each], own.networks)]
        return replace(
            self,
            audiences=audiences or (offered if own.audiences else ()),
            networks=networks or own.networks,
            own_per_minute=_choose_limit(self.own_per_minute, own, "per_minute"),
            own_per_day=_choose_limit(self.own_per_day, own, "per_day"),
            expires_in=_choose_life(int(self.expires_in or 0) or None, longest_life),
            self_rotation=self.self_rotation and own.self_rotation,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A named start.

    It ticks the capabilities whose names end in one of `endings`, and those of the service itself
    that stand in `names`. `days`: until the key expires, None for never.
    """

    id: str
    label: str
    words: str
    endings: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    days: int | None = None
    per_minute: int | None = None
    per_day: int | None = None

    def fits(self, offered: Collection[str]) -> bool:
        """Tell whether all that it names is there to be given."""
        return all(name in offered for name in self.names)

    def begin(self, offered: Iterable[str]) -> Beginning:
        """Return what the form begins with. `offered`: what capabilities the caller may give."""
        return Beginning(
            capabilities=[name for name in offered if self._ticks(name)],
            own_per_minute=self.per_minute,
            own_per_day=self.per_day,
            expires_in="" if self.days is None else str(self.days * _DAY),
        )

    def _ticks(self, name: str) -> bool:
        if is_for_service(name):
            return name in self.names
        return name.endswith(self.endings) if self.endings else False


STARTS: Final = (
    Start(
        id="read-only",
        label="Read only",
        words="All that ends in “:read”, for 90 days.",
        endings=(":read",),
        days=90,
    ),
    Start(
        id="ci-job",
        label="CI job",
        words="All that ends in “:read”, for 30 days, 10 exchanges a minute and 500 a day. "
        "Tick what the job writes.",
        endings=(":read",),
        days=30,
        per_minute=10,
        per_day=500,
    ),
    Start(
        id="service",
        label="Service",
        words="All that ends in “:read” or “:write”, without an end: rotate it instead.",
        endings=(":read", ":write"),
    ),
    Start(
        id="manage-keys",
        label="Manage keys",
        words="Makes, changes and revokes the keys of its account, for 90 days.",
        names=(KEYS,),
        days=90,
        per_minute=30,
        per_day=1000,
    ),
)


def find_start(name: str | None) -> Start | None:
    """Return the start that an address names."""
    return next((start for start in STARTS if start.id == name), None)


def copy_key(key: Any) -> Beginning:  # noqa: ANN401 - a model of the operations
    """Return what a form for a key like another one begins with."""
    fields = Beginning.__dataclass_fields__.keys() - {"expires_in"}
    return Beginning(**{name: getattr(key, name) for name in fields})


def _choose_limit(wanted: int | None, own: Any, name: str) -> int | None:  # noqa: ANN401 - a model
    """Return a limit that is not above that of the caller's own key, None for what the tier says.

    The tier of the account is enough where the own key has its limits from there.
    """
    if wanted is None and own.tier is None and getattr(own, f"own_{name}") is None:
        return None
    most: int = getattr(own, name)
    return most if wanted is None else min(wanted, most)


def find_longest_life(left: float | None, policy: int | None) -> int | None:
    """Return how many seconds a key may live that somebody makes, None if there is no limit.

    `left`: how many their own key lives yet. A form may lie open for a while before it is sent, and
    the new key must not outlive theirs then, so an hour is taken off.
    """
    if left is None:
        return policy
    safe = max(1, int(left - min(_HOUR, left / 2)))
    return safe if policy is None else min(policy, safe)


def _choose_life(wanted: int | None, longest_life: int | None) -> str:
    """Return how many seconds a key lives, as the form has them: the longest preset if it can be.

    If even the shortest preset is too long, it is the longest life.
    """
    if longest_life is not None and (wanted is None or wanted > longest_life):
        fitting = (days * _DAY for days in PRESETS if days * _DAY <= longest_life)
        wanted = max(fitting, default=longest_life)
    return "" if wanted is None else str(wanted)
