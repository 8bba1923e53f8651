"""A revocation as it is stored, with what only the issuer and its operators know of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    from tokensvc.core.denylist.position import Position
    from tokensvc.core.denylist.revocation import Kind, Revocation
    from tokensvc.core.operation_name import OperationName

Ending = Literal[
    "token_revoked",
    "key_tokens_revoked",
    "key_disabled",
    "key_revoked",
    "key_deleted",
    "account_tokens_revoked",
    "account_suspended",
    "account_deleted",
    "signing_key_revoked",
]


class EndingFacts(NamedTuple):
    """What an ending means.

    `severity`: how much it takes away. Of two endings of the same thing the more severe one makes
    the other needless. `operation`: what brings it about. `undone_by`: the operation that takes it
    back. `changes_state`: the key or account itself has ended too, not only its tokens.
    """

    kind: Kind
    severity: int
    operation: OperationName
    undone_by: OperationName | None = None
    changes_state: bool = False


ENDINGS: Final[dict[Ending, EndingFacts]] = {
    "token_revoked": EndingFacts("jti", 0, "tokens.revoke"),
    "signing_key_revoked": EndingFacts("kid", 0, "signing-keys.revoke"),
    "key_tokens_revoked": EndingFacts("key", 0, "keys.revoke-tokens"),
    "key_disabled": EndingFacts("key", 1, "keys.disable", "keys.enable", changes_state=True),
    "key_revoked": EndingFacts("key", 2, "keys.revoke", changes_state=True),
    "key_deleted": EndingFacts("key", 3, "keys.delete", changes_state=True),
    "account_tokens_revoked": EndingFacts("account", 0, "accounts.revoke-tokens"),
    "account_suspended": EndingFacts(
        "account", 1, "accounts.suspend", "accounts.resume", changes_state=True
    ),
    "account_deleted": EndingFacts("account", 2, "accounts.delete", changes_state=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationRecord:
    """A revocation as stored.

    `ending`: what came to its end. `healed`: a process has written it again after Postgres had
    lost it. `watermark`: as `upto`, but not cut to whole seconds.
    """

    position: Position
    revocation: Revocation
    ending: Ending
    healed: bool
    watermark: datetime | None
    created_at: datetime
