"""Who the caller is, and what it may do."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from tokensvc.operations.model import AccountId, KeyId, Model, Moment, Nothing
from tokensvc.operations.operation import ANYBODY, Operation


class Limits(Model):
    """A limit, and what is left of it."""

    name: str = Field(
        description="`calls-minute`: calls of operations. `key-minute`, `key-day`: tokens for the "
        "key. `account-minute`, `account-day`: tokens for all keys of its account."
    )
    limit: int = Field(description="How many there may be in a minute or a day (UTC).")
    left: int = Field(description="How many of them are left.")
    resets_in: int = Field(description="In how many seconds all of them are there again.")


class Caller(Model):
    """Who the caller is, what it may do, and what is left of its limits."""

    actor: str = Field(description="As the audit trail names the caller.")
    key: KeyId | None = Field(
        description="The id of its API key; null: a person at the machine of the service."
    )
    account: AccountId | None = Field(
        description="The account of its API key; null: a person at the machine of the service."
    )
    capabilities: list[str] = Field(
        description="What its API key holds, or what the `scope` of its token says."
    )
    operations: list[str] = Field(description="The operations that the caller may call.")
    fresh_until: Moment | None = Field(
        description="Until then the caller may do what needs a key that was just shown; null: "
        "it shows the key itself, and always may."
    )
    limits: list[Limits] = Field(
        description="What is left of each limit: of calls, and of tokens for the key and for all "
        "keys of its account."
    )


OPERATIONS: Final = (
    Operation(
        name="whoami.show",
        method="GET",
        path="/v1/whoami",
        summary="Say who the caller is, what it may do, and what is left of its limits.",
        needs=ANYBODY,
        request=Nothing,
        response=Caller,
    ),
)
