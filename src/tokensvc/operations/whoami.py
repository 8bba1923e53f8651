"""Who the caller is, and what it may do."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from tokensvc.operations.model import AccountId, KeyId, Model, Moment, Nothing
from tokensvc.operations.operation import ANYBODY, Operation


class Limits(Model):
    """A limit, and what is left of it."""

    name: str
    limit: int
    left: int
    resets_in: int = Field(description="Seconds.")


class Caller(Model):
    """Who the caller is, what it may do, and what is left of its limits."""

    actor: str
    key: KeyId | None
    account: AccountId | None
    capabilities: list[str]
    operations: list[str] = Field(description="The operations that the caller may call.")
    fresh_until: Moment | None = Field(
        description="Until then the caller may do what needs a key that was just shown."
    )
    limits: list[Limits] = Field(
        description="Of calls, and of tokens for the key and for all keys of its account."
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
