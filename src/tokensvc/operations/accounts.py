"""Accounts, the owners of API keys."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from tokensvc.core.notices.destination import MAX_ADDRESS_LENGTH, parse_address
from tokensvc.operations.model import (
    AccountId,
    CreationMoment,
    Deleted,
    Limit,
    ListPage,
    Model,
    Moment,
    Name,
    PageRequest,
    Reason,
    TierName,
    check,
    unset,
)
from tokensvc.operations.operation import ADMINS, KEY_OWNERS, KEY_READERS, Operation
from tokensvc.operations.overview import CountMoment, KeyCounts
from tokensvc.operations.usage import HourOfUse, UsageBegin, UsageEnd, WindowUse

State = Literal["active", "suspended"]
TierOfAccount = Annotated[
    TierName | None,
    Field(description="The tier, whose limits hold where it has none of its own; null: `default`."),
]
PerMinute = Annotated[
    Limit | None,
    Field(description="Tokens a minute for all its keys together; null: what the tier says."),
]
PerDay = Annotated[
    Limit | None,
    Field(description="Tokens a day (UTC) for all its keys together; null: what the tier says."),
]
Contact = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_ADDRESS_LENGTH,
        description="A mail address. It is sent a link that confirms it.",
        examples=["ops@example.com"],
    ),
    check(parse_address),
]
OptionalContact = Annotated[
    Contact | None,
    Field(
        description="The mailbox that is told of what happens to its keys, once the link that it "
        "is sent has been opened; null: none. The mailbox from before gets no more notices."
    ),
]


class Account(Model):
    """An account. `per_minute` and `per_day` hold for all its keys together."""

    id: AccountId
    name: str = Field(description="What people call it.")
    state: State = Field(
        description="`active`, or `suspended`: its keys get no tokens, and those from before are "
        "revoked."
    )
    created_at: CreationMoment
    suspended_at: Moment | None = Field(description="When it was suspended; null: it is not.")
    tier: str = Field(description="The tier; `default` if none was set.")
    per_minute: int = Field(description="Tokens a minute: its own limit, else that of its tier.")
    per_day: int = Field(description="Tokens a day (UTC): its own limit, else that of its tier.")
    own_per_minute: int | None = Field(
        description="Tokens a minute that were set for the account itself; null: none were."
    )
    own_per_day: int | None = Field(
        description="Tokens a day that were set for the account itself; null: none were."
    )
    contact: str | None = Field(
        description="The mailbox that is told of what happens to its keys; null: there is none."
    )
    contact_confirmed_at: Moment | None = Field(
        description="When the contact was confirmed; null: not yet, and it gets no notice before."
    )
    contact_endpoint: str | None = Field(
        description="The id of the contact among the endpoints of notices; null: there is none."
    )


class AccountRequest(Model):
    """Which account."""

    id: AccountId


class AccountUsage(Model):
    """The use of an account. The last seconds are not in `hours` yet."""

    id: AccountId
    minute: WindowUse = Field(description="This minute, of all its keys together.")
    day: WindowUse = Field(description="This day (UTC), of all its keys together.")
    hours: list[HourOfUse] = Field(
        description="Exchanges by the hour, of all its keys together, oldest first."
    )
    keys: KeyCounts = Field(description="How many keys the account has.")
    keys_counted_at: CountMoment
    since: UsageBegin
    until: UsageEnd


class AccountUsageRequest(Model):
    """Which account, and how far back."""

    id: AccountId
    since: int = Field(86_400, ge=1, le=31 * 86_400, description="How many seconds to look back.")


class CreateAccount(Model):
    """A new account."""

    name: Name
    tier: TierOfAccount = None
    per_minute: PerMinute = None
    per_day: PerDay = None
    contact: OptionalContact = None


class ListAccounts(PageRequest):
    """Which accounts are wanted."""

    id_prefix: str | None = Field(
        None, min_length=1, max_length=40, description="Only those whose id begins with this."
    )
    name: str | None = Field(
        None, min_length=1, max_length=200, description="Only those with this in their name."
    )
    state: State | None = Field(None, description="Only those in this state.")
    created_before: Moment | None = Field(
        None, description="Only those that were created before this moment."
    )
    sort: Literal["created_at", "-created_at", "name", "-name"] = Field(
        "created_at", description="The order of the list; with `-` it is reversed."
    )


class UpdateAccount(Model):
    """What to change; what is absent stays as it is. null takes a limit or the contact away."""

    id: AccountId
    name: Name = unset()
    tier: TierOfAccount = unset()
    per_minute: PerMinute = unset()
    per_day: PerDay = unset()
    contact: OptionalContact = unset()


class SetContact(Model):
    """Which account, and the mailbox that is told of what happens to its keys."""

    id: AccountId
    contact: OptionalContact


class EndAccount(Reason):
    """Which account, and why."""

    id: AccountId


class DeletedAccount(Model):
    """An account that is gone."""

    id: AccountId
    state: Deleted = "deleted"


OPERATIONS: Final = (
    Operation(
        name="accounts.create",
        method="POST",
        path="/v1/accounts",
        summary="Create an account.",
        needs=ADMINS,
        request=CreateAccount,
        response=Account,
        status=201,
        idempotent_by_key=True,
        has_version=True,
    ),
    Operation(
        name="accounts.list",
        method="GET",
        path="/v1/accounts",
        summary="List accounts.",
        needs=KEY_READERS,
        request=ListAccounts,
        response=ListPage[Account],
    ),
    Operation(
        name="accounts.show",
        method="GET",
        path="/v1/accounts/{id}",
        summary="Show one account.",
        needs=KEY_READERS,
        request=AccountRequest,
        response=Account,
        has_version=True,
    ),
    Operation(
        name="accounts.show-usage",
        method="GET",
        path="/v1/accounts/{id}/usage",
        summary="Show what the keys of an account got by the hour, and what is used of its limits.",
        needs=KEY_READERS,
        request=AccountUsageRequest,
        response=AccountUsage,
    ),
    Operation(
        name="accounts.update",
        method="PATCH",
        path="/v1/accounts/{id}",
        summary="Change the name, the limits or the contact of an account.",
        needs=ADMINS,
        request=UpdateAccount,
        response=Account,
        has_version=True,
    ),
    Operation(
        name="accounts.set-contact",
        method="POST",
        path="/v1/accounts/{id}/contact",
        summary="Change the contact of an account; with tokensvc:keys only of the caller's.",
        needs=KEY_OWNERS,
        request=SetContact,
        response=Account,
        has_version=True,
    ),
    Operation(
        name="accounts.suspend",
        method="POST",
        path="/v1/accounts/{id}/suspend",
        summary="Suspend an account: its keys get no tokens, and all its live tokens are revoked.",
        needs=ADMINS,
        request=EndAccount,
        response=Account,
        has_version=True,
    ),
    Operation(
        name="accounts.resume",
        method="POST",
        path="/v1/accounts/{id}/resume",
        summary="End a suspension. The tokens from before stay revoked.",
        needs=ADMINS,
        request=AccountRequest,
        response=Account,
        has_version=True,
    ),
    Operation(
        name="accounts.revoke-tokens",
        method="POST",
        path="/v1/accounts/{id}/revoke-tokens",
        summary="Revoke the tokens that all keys of an account have got so far.",
        needs=ADMINS,
        request=EndAccount,
        response=Account,
        has_version=True,
    ),
    Operation(
        name="accounts.delete",
        method="DELETE",
        path="/v1/accounts/{id}",
        summary="Delete an account with its keys and their tokens, for good.",
        needs=ADMINS,
        fresh=True,
        request=AccountRequest,
        response=DeletedAccount,
        checks_version=True,
    ),
)
