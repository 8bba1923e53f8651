"""Carrying the acts of the story out, and moving what each has written into the past."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from demo.story import Ref
from demo.trail import Moved
from tokensvc.core.actor import Actor
from tokensvc.core.algorithm import DEFAULT_ALGORITHM
from tokensvc.issuer.operations.run import run_operation
from tokensvc.issuer.signing.rotation import rotate_once
from tokensvc.operations.finding import load_operation
from tokensvc.operations.rights import Principal
from tokensvc.operations.validation import build_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from demo.story import Act
    from tokensvc.issuer.operations.call import Backend
    from tokensvc.store.pool import Connection

# The moments that acts write.
_MOMENTS: Final[Mapping[str, Sequence[str]]] = {
    "account": ("created_at", "suspended_at", "deleted_at", "watermark"),
    "api_key": (
        "created_at", "disabled_at", "revoked_at", "deleted_at", "enabled_at", "watermark",
    ),
    "audience": ("created_at",),
    "capability": ("created_at",),
    "key_leak": ("reported_at",),
    "notice_endpoint": ("created_at", "confirmed_at"),
    "signing_key": ("created_at", "active_at", "revoked_at"),
    "tier": ("created_at",),
}  # fmt: skip
_TASK: Final = Actor(name="rotation")
_ADDRESSES: Final = {
    "mila": "10.24.7.19",
    "jonas": "10.24.7.44",
    "ops-bot": "10.60.2.8",
    "leak-report": "203.0.113.77",
}


_MOVE_DENYLIST: Final = """
update denylist set created_at = created_at - $2::interval, watermark = watermark - $2::interval,
    expires_at = expires_at - $2::interval
where created_at >= $1
"""


@dataclass(slots=True, kw_only=True)
class Story:
    """What has been made so far.

    `now`: Postgres's clock when the story is told. `ids`: by the name that an act gave; `texts`:
    those of keys; `accounts`: whose keys they are; `times`: of each act.
    """

    now: datetime
    ids: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict, repr=False)
    accounts: dict[str, str] = field(default_factory=dict)
    times: list[Moved] = field(default_factory=list)

    def find_time(self, days_ago: float) -> datetime:
        """Return the moment so many days ago."""
        return self.now - timedelta(days=days_ago)


async def tell(backend: Backend, connection: Connection, story: Story, acts: Sequence[Act]) -> None:
    """Carry acts out, one after the other."""
    for act in acts:
        began_at: datetime = await connection.fetchval("select clock_timestamp()")
        ends = await _read_ends(connection)
        operation = load_operation(act.operation)
        request = build_model(operation, _resolve(act.request, story))
        principal = Principal.of_host(_find_actor(act, story))
        made = (await run_operation(backend, operation, principal, request)).response
        if act.request.get("alg", DEFAULT_ALGORITHM) != DEFAULT_ALGORITHM:
            await _begin_keyring(backend, act.request["alg"])
        if act.makes is not None:
            story.ids[act.makes] = made.id  # type: ignore[attr-defined]
            story.accounts[act.makes] = getattr(made, "account", "")
            story.texts[act.makes] = getattr(made, "key", "")
        await move(connection, story, began_at, ends, story.find_time(act.days_ago))


async def move(
    connection: Connection,
    story: Story,
    began_at: datetime,
    ends: Mapping[str, datetime],
    to: datetime,
) -> None:
    """Move to `to` what was written since `began_at`; `ends`: when keys expired before that."""
    delta = began_at - to
    for table, columns in _MOMENTS.items():
        changes = ", ".join(
            f"{column} = case when {column} >= $1 then {column} - $2::interval else {column} end"
            for column in columns
        )
        wanted = " or ".join(f"{column} >= $1" for column in columns)
        await connection.execute(
            f"update {table} set {changes} where {wanted}",
            began_at,
            delta,
        )
    await connection.execute(_MOVE_DENYLIST, began_at, delta)
    for key_id, end in (await _read_ends(connection)).items():
        if ends.get(key_id) != end:
            await connection.execute(
                "update api_key set expires_at = $2 where id = $1", key_id, end - delta
            )
    number: int = await connection.fetchval("select number from audit_head")
    story.times.append(Moved(number, to, delta))


async def _begin_keyring(backend: Backend, alg: str) -> None:
    """Make the first signing keys of an algorithm, as the service does within seconds."""
    master_key = backend.load_master_key()
    await rotate_once(backend.database, backend.settings, master_key, alg=alg, actor=_TASK)


async def _read_ends(connection: Connection) -> dict[str, datetime]:
    rows = await connection.fetch("select id, expires_at from api_key where expires_at is not null")
    return {row["id"]: row["expires_at"] for row in rows}


def _find_actor(act: Act, story: Story) -> Actor:
    """Return who acted: somebody's key, as soon as there is one; else the host, or a task."""
    address = _ADDRESSES.get(act.by)
    key_id = story.ids.get(f"key:{act.by}")
    if key_id is not None:
        account = story.accounts[f"key:{act.by}"]
        request_id = f"req{len(story.times):05d}"
        return Actor(name=key_id, account_id=account, address=address, request_id=request_id)
    if act.by in {"mila", "jonas", "ops-bot"}:
        return Actor.command_line("mila")
    return Actor(name=act.by, address=address)


def _resolve(value: Any, story: Story) -> Any:  # noqa: ANN401 - a part of a request
    if isinstance(value, Ref):
        kind, _, name = value.name.partition(":")
        return story.texts[f"key:{name}"] if kind == "text" else story.ids[value.name]
    if isinstance(value, dict):
        return {name: _resolve(part, story) for name, part in value.items()}
    if isinstance(value, list):
        return [_resolve(part, story) for part in value]
    return value
