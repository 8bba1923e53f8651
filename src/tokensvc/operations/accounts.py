"""Accounts, the owners of API keys."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from tokensvc.core.notices.destination import MAX_ADDRESS_LENGTH, parse_address
from tokensvc.operations.model import (
    AccountId,
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
from tokensvc.operations.usage import HourOfUse, WindowUse

State = Literal["active", "suspended"]
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


class Account(Model):
    """An account. `per_minute` and `per_day` hold for all its keys together."""

    id: AccountId
    name: str
    state: State
    created_at: Moment
    suspended_at: Moment | None
    tier: str
    per_minute: int = Field(description="Tokens a minute: its own limit, else that of its tier.")
    per_day: int = Field(description="Tokens a day (UTC): its own limit, else that of its tier.")
    own_per_minute: int | None = Field(description="What was set for the account itself.")
    own_per_day: int | None = Field(description="What was set for the account itself.")
    contact: str | None = Field(description="The mailbox that is told of what happens to its keys.")
    contact_confirmed_at: Moment | None = Field(description="It gets no notice before then.")
    contact_endpoint: str | None = Field(description="The id of the contact among the endpoints.")


class AccountRequest(Model):
    """Which account."""

    id: AccountId


class AccountUsage(Model):
    """The use of an account. The last seconds are not in `hours` yet."""

    id: AccountId
    minute: WindowUse = Field(description="Of all its keys together.")
    day: WindowUse = Field(description="Of all its keys together.")
    hours: list[HourOfUse] = Field(description="Of all its keys together, oldest first.")
    keys: KeyCounts
    keys_counted_at: CountMoment
    since: Moment
    until: Moment


class AccountUsageRequest(Model):
    """Which account, and how far back."""

    id: AccountId
    since: int = Field(86_400, ge=1, le=31 * 86_400, description="How many seconds back.")


class CreateAccount(Model):
    """A new account."""

    name: Name
    tier: TierName | None = Field(None, description="The default tier if absent.")
    per_minute: Limit | None = None
    per_day: Limit | None = None
    contact: Contact | None = None


class ListAccounts(PageRequest):
    """Which accounts are wanted."""

    id_prefix: str | None = Field(
        None, min_length=1, max_length=40, description="The beginning of the id."
    )
    name: str | None = Field(None, min_length=1, max_length=200, description="A part of the name.")
    state: State | None = None
    created_before: Moment | None = None
    sort: Literal["created_at", "-created_at", "name", "-name"] = "created_at"


class UpdateAccount(Model):
    """What to change; what is absent stays as it is. null takes a limit or the contact away."""

    id: AccountId
    name: Name = unset()
    tier: TierName | None = unset()
    per_minute: Limit | None = unset()
    per_day: Limit | None = unset()
    contact: Contact | None = unset()


class SetContact(Model):
    """Which account, and the mailbox that is told of what happens to its keys."""

    id: AccountId
    contact: Contact | None = Field(
        description="null: none. The mailbox from before gets no more notices."
    )


class EndAccount(Reason):
    """Which account, and why."""

    id: AccountId


class DeletedAccount(Model):
    """An account that is gone."""

    id: AccountId
    state: Literal["deleted"] = "deleted"


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
