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
    Json,
    KeyId,
    ListPage,
    Model,
    Moment,
    Nothing,
    PageRequest,
    Reason,
    Seconds,
    check,
)
from tokensvc.operations.operation import ADMINS, READERS, Operation

Jti = Annotated[str, Field(json_schema_extra={"pattern": "^[0-9A-Za-z]{20}$"}), check(parse_jti)]
Kind = Literal["jti", "key", "account", "kid"]
Token = Annotated[str, Field(min_length=1, max_length=8192)]


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
    upto: int | None = Field(description="Tokens of the key or account with `iat` up to here.")
    expires: int = Field(description="When its last token has expired for everybody.")
    ending: str = Field(description="What came to its end: `key_revoked`, ...")
    healed: bool = Field(description="Whether it was written again after Postgres had lost it.")
    created_at: Moment


class ListedRevocation(Revocation):
    """A revocation that is in force, with what the audit trail tells of it."""

    made_by: str | None = Field(description="Who did it; null if the audit trail does not tell.")
    reason: str | None = Field(description="Why, if that was told.")


class ListRevocations(PageRequest):
    """Which revocations are wanted."""

    kind: Kind | None = None
    value: str | None = Field(
        None, max_length=100, description="The id of a token, key, account or signing key."
    )
    sort: Literal["seq", "-seq"] = "seq"


class RevocationCounts(Model):
    """How many revocations are in force, and where the feed ends."""

    seq: int = Field(description="The number of the last entry of the feed.")
    tokens: int
    keys: int
    accounts: int
    signing_keys: int
    healed: int = Field(description="How many of all these Postgres had lost.")


class CreateRevocation(Reason):
    """What to revoke: exactly one of `token`, `jti`, `key`, `account`."""

    token: Token | None = Field(None, repr=False, description="A live token of ours.")
    jti: Jti | None = Field(None, description="The id of a token.")
    exp_in: Seconds | None = Field(
        None, description="With `jti`: how many seconds the token lives at most from now on."
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
        None, max_length=100, description="The `cursor` of the answer before; absent: the end."
    )
    wait: int = Field(0, ge=0, le=25, description="How many seconds to wait for news.")


class Changes(Model):
    """The revocations since the last answer."""

    items: list[Revocation]
    cursor: str = Field(description="Send it as `after`.")
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
    ]  # fmt: skip
    state: Literal["passed", "failed", "skipped"]
    detail: str


class TokenStatus(Model):
    """What the database knows of a token. `state` says whether it is good, or forged, say."""

    header: dict[str, Json]
    payload: dict[str, Json]
    state: Literal["live", "expired", "revoked", "foreign", "invalid", "unknown"]
    reason: str | None
    revoked_by: Revocation | None
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
