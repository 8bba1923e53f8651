"""Revocations, the elements of the denylist; and what is known of a token."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from tokensvc.core.denylist.position import parse_cursor
from tokensvc.core.errors import InvalidRequestError
from tokensvc.core.identifier import parse_jti
from tokensvc.operations.model import (
    AccountId,
    CreationMoment,
    Json,
    KeyId,
    ListPage,
    Model,
    Nothing,
    PageRequest,
    Reason,
    Seconds,
    check,
)
from tokensvc.operations.operation import ADMINS, READERS, Operation

Jti = Annotated[
    str,
    Field(
        json_schema_extra={"pattern": "^[0-9A-Za-z]{20}$"},
        description="The id of a token, its claim `jti`.",
    ),
    check(parse_jti),
]
Kind = Annotated[
    Literal["jti", "key", "account", "kid"],
    Field(
        description="What it revokes: one token (`jti`), the tokens of a `key` or an `account`, or "
        "all that a signing key (`kid`) has signed."
    ),
]
Token = Annotated[str, Field(min_length=1, max_length=8192, description="A token, as it is shown.")]


def _check_cursor(text: str) -> str:
    try:
        parse_cursor(text)
    except InvalidRequestError:
        raise PydanticCustomError(
            "invalid_input", "it must be a cursor of an earlier answer, like 42-9f86d081884c7d65"
        ) from None
    return text


class Revocation(Model):
    """A revocation that is in force. `upto` and `expires` are seconds since 1970."""

    seq: int = Field(description="Its number in the feed.")
    cursor: str = Field(description="Its place in the feed: send it as `after` to watch from here.")
    kind: Kind
    value: str = Field(description="The id of the token, key, account or signing key.")
    upto: int | None = Field(
        description="Tokens of the key or account with `iat` up to here are revoked; null: it is "
        "of another kind."
    )
    expires: int = Field(
        description="When its last token has expired for everybody, in seconds since 1970."
    )
    ending: str = Field(description="What came to its end, like `key_revoked`.")
    healed: bool = Field(description="Whether it was written again after Postgres had lost it.")
    created_at: CreationMoment


class ListedRevocation(Revocation):
    """A revocation that is in force, with what the audit trail tells of it."""

    made_by: str | None = Field(description="Who did it; null if the audit trail does not tell.")
    reason: str | None = Field(description="Why; null: that was not told.")


class ListRevocations(PageRequest):
    """Which revocations are wanted."""

    kind: Kind | None = Field(None, description="Only revocations of this kind.")
    value: str | None = Field(
        None,
        max_length=100,
        description="Only revocations of the token, key, account or signing key with this id.",
    )
    sort: Literal["seq", "-seq"] = Field(
        "seq", description="The order of the list; with `-` the newest comes first."
    )


class RevocationCounts(Model):
    """How many revocations are in force, and where the feed ends."""

    seq: int = Field(description="The number of the last entry of the feed.")
    tokens: int = Field(description="How many revoke one token.")
    keys: int = Field(description="How many revoke the tokens of a key.")
    accounts: int = Field(description="How many revoke the tokens of an account.")
    signing_keys: int = Field(description="How many revoke all that a signing key has signed.")
    healed: int = Field(description="How many of all these Postgres had lost.")


class CreateRevocation(Reason):
    """What to revoke: exactly one of `token`, `jti`, `key`, `account`."""

    token: Token | None = Field(None, repr=False, description="A live token of this service.")
    jti: Jti | None = Field(None, description="The id of a token.")
    exp_in: Seconds | None = Field(
        None,
        description="With `jti`: how many seconds the token lives at most from now on; null: as "
        "long as any token can.",
    )
    key: KeyId | None = Field(None, description="All tokens that this key has got so far.")
    account: AccountId | None = Field(
        None, description="All tokens that the keys of this account have got so far."
    )

    @model_validator(mode="after")
    def _check_choice(self) -> Self:
        if [self.token, self.jti, self.key, self.account].count(None) != 3:  # noqa: PLR2004
            raise PydanticCustomError(
                "invalid_input", "name exactly one of token, jti, key and account"
            )
        if self.exp_in is not None and self.jti is None:
            raise PydanticCustomError("invalid_input", "exp_in goes with jti")
        return self


class WatchRequest(Model):
    """Where the caller stands, and how long it waits for news."""

    after: Annotated[str, AfterValidator(_check_cursor)] | None = Field(
        None,
        max_length=100,
        description="The `cursor` of the answer before; absent: the end of the feed.",
    )
    wait: int = Field(0, ge=0, le=25, description="How many seconds to wait for news.")


class Changes(Model):
    """The revocations since the last answer."""

    items: list[Revocation] = Field(description="The revocations, in the order of the feed.")
    cursor: str = Field(description="Send it as `after` to get what follows.")
    reset: bool = Field(
        description="The history went back (a failover, a restored backup): `items` is everything "
        "that is in force."
    )


class TokenRequest(Model):
    """A token to look at."""

    token: Token = Field(repr=False)


class TokenCheck(Model):
    """A check that verifiers make. `skipped`: another one would have to pass first."""

    name: Literal[
        "header", "type", "algorithm", "signing_key", "signature", "issuer", "audience", "claims",
        "time", "revocation",
    ] = Field(description="What is checked.")  # fmt: skip
    state: Literal["passed", "failed", "skipped"] = Field(
        description="`passed`, `failed`, or `skipped`: another check would have to pass first."
    )
    detail: str = Field(description="What the check has found, in a sentence.")


class TokenStatus(Model):
    """What the database knows of a token. `state` says whether it is good, or forged, say."""

    header: dict[str, Json] = Field(description="The header of the token, unproved.")
    payload: dict[str, Json] = Field(description="The claims of the token, unproved.")
    state: Literal["live", "expired", "revoked", "foreign", "invalid", "unknown"] = Field(
        description="`live`, `expired` or `revoked`. `foreign`: this service has no such signing "
        "key. `invalid`: it is not as this service signs. `unknown`: only a command that has no "
        "database to ask tells that."
    )
    reason: str | None = Field(description="More of `invalid`, in a word; null in other states.")
    revoked_by: Revocation | None = Field(
        description="The revocation behind `revoked`; null: there is none, or none any more."
    )
    checks: list[TokenCheck] = Field(description="All checks of a verifier, in its order.")


OPERATIONS: Final = (
    Operation(
        name="revocations.list",
        method="GET",
        path="/v1/revocations",
        summary="List the revocations in force, with who made them and why.",
        needs=READERS,
        request=ListRevocations,
        response=ListPage[ListedRevocation],
    ),
    Operation(
        name="revocations.count",
        method="GET",
        path="/v1/revocations/count",
        summary="Count the revocations in force, by what they end.",
        needs=READERS,
        request=Nothing,
        response=RevocationCounts,
    ),
    Operation(
        name="revocations.create",
        method="POST",
        path="/v1/revocations",
        summary="Revoke a token, or the tokens that a key or an account has got so far.",
        needs=ADMINS,
        request=CreateRevocation,
        response=Revocation,
        status=201,
    ),
    Operation(
        name="revocations.watch",
        method="GET",
        path="/v1/revocations/watch",
        summary="Wait for new revocations.",
        needs=READERS,
        request=WatchRequest,
        response=Changes,
    ),
    Operation(
        name="tokens.inspect",
        method="POST",
        path="/v1/tokens/inspect",
        summary="Show what a token says, and its state.",
        needs=READERS,
        request=TokenRequest,
        response=TokenStatus,
    ),
)
