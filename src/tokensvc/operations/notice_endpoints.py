"""Endpoints of notices: receivers on the web and mailboxes, and what each is told of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from pydantic import Field

from tokensvc.core.identifier import ENDPOINT_ID_PATTERN, parse_endpoint_id
from tokensvc.core.notices.event import EventName
from tokensvc.operations.model import (
    AccountId,
    CreationMoment,
    Deleted,
    Description,
    ListPage,
    Model,
    Moment,
    PageRequest,
    Replayed,
    unset,
)
from tokensvc.operations.model import check as checked
from tokensvc.operations.notice_deliveries import NoticeDelivery
from tokensvc.operations.operation import KEY_OWNERS, KEY_READERS, Operation

if TYPE_CHECKING:
    from tokensvc.operations.operation import Method

State = Literal["active", "unconfirmed", "failing", "disabled"]
EndpointId = Annotated[
    str,
    Field(
        json_schema_extra={"pattern": f"^{ENDPOINT_ID_PATTERN}$"},
        description="The id of an endpoint of notices.",
        examples=["hook_0000000000000000"],
    ),
    checked(parse_endpoint_id),
]
Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2000,
        description="`https://...` for a receiver on the web, or `mailto:...` for a mailbox.",
        examples=["https://hooks.example/x"],
    ),
]
Events = Annotated[
    list[EventName],
    Field(
        max_length=100,
        description="What it is told of; empty: everything. An endpoint of an account is told of "
        "no events of signing keys or the denylist.",
    ),
]


class NoticeEndpoint(Model):
    """An endpoint. `failing` is one whose last delivery has failed."""

    id: EndpointId
    account: AccountId | None = Field(
        description="Whose events it is told of; null: all of the whole service."
    )
    kind: Literal["webhook", "mail"] = Field(
        description="`webhook`: a receiver on the web. `mail`: a mailbox."
    )
    url: str = Field(description="Where its notices go: `https://...` or `mailto:...`.")
    events: list[str] = Field(description="What it is told of; empty: everything.")
    description: str = Field(description="What it is for, in words.")
    state: State = Field(
        description="`active`. `unconfirmed`: a mailbox whose link was not opened yet. `failing`: "
        "its last delivery has failed. `disabled`: it gets nothing more."
    )
    created_at: CreationMoment
    confirmed_at: Moment | None = Field(
        description="When it was confirmed; null: not yet, and a mailbox gets nothing before then."
    )
    disabled_at: Moment | None = Field(description="When it was disabled; null: it is not.")
    disabled_because: Literal["asked", "failing", "gone", "unsubscribed"] | None = Field(
        description="`asked`: somebody disabled it. `failing`: three days without a success. "
        "`gone`: it answered 410. `unsubscribed`: by a link in a mail. null: it is not disabled."
    )
    failing_since: Moment | None = Field(
        description="When its deliveries began to fail; null: the last one has not failed."
    )
    failures: int = Field(description="How many attempts have failed one after the other.")
    old_secret_until: Moment | None = Field(
        description="Until then the secret from before the rotation signs as well; null: it was "
        "never rotated."
    )


class NewNoticeEndpoint(NoticeEndpoint):
    """An endpoint with its secret, which is shown this once."""

    shown_once: ClassVar[str | None] = "secret"

    secret: str | None = Field(
        description="What signs its notices; null for a mailbox, and if the request was repeated "
        "after ten minutes."
    )
    replayed: Replayed = False


class NoticeEndpointRequest(Model):
    """Which endpoint."""

    id: EndpointId


class CreateNoticeEndpoint(Model):
    """A new endpoint: https://... or mailto:somebody@example.com."""

    account: AccountId | None = Field(
        None,
        description="Whose events it is told of; null: those of the caller's account, or with "
        "`tokensvc:admin` of the whole service.",
    )
    url: Url
    events: Events = Field([])
    description: Description = ""


class ListNoticeEndpoints(PageRequest):
    """Which endpoints are wanted."""

    account: AccountId | None = Field(None, description="Only endpoints of this account.")


class UpdateNoticeEndpoint(Model):
    """What to change; what is absent stays as it is. A mailbox keeps its address."""

    id: EndpointId
    url: Url = unset()
    events: Events = unset()
    description: Description = unset()
    enabled: bool = unset(description="false: nothing more is delivered until it is true again.")


class RotateNoticeSecret(Model):
    """Which endpoint, and how long the old secret signs as well."""

    id: EndpointId
    grace: int = Field(
        86_400,
        ge=0,
        le=30 * 86_400,
        description="How many seconds the old secret signs as well; 0: not at all.",
    )


class DeletedNoticeEndpoint(Model):
    """An endpoint that is gone."""

    id: EndpointId
    state: Deleted = "deleted"


def _one(
    verb: str,
    method: Method,
    summary: str,
    request: type[Model],
    response: type[Model],
    path: str = "",
) -> Operation:
    has_version = issubclass(response, NoticeEndpoint)
    return Operation(
        name=f"notice-endpoints.{verb}",
        method=method,
        path=f"/v1/notice-endpoints/{{id}}{path}",
        summary=summary,
        needs=KEY_OWNERS if method != "GET" else KEY_READERS,
        request=request,
        response=response,
        has_version=has_version,
        checks_version=method == "DELETE",
    )


OPERATIONS: Final = (
    Operation(
        name="notice-endpoints.create",
        method="POST",
        path="/v1/notice-endpoints",
        summary="Add a receiver on the web, or a mailbox, which is sent a link to confirm it.",
        needs=KEY_OWNERS,
        request=CreateNoticeEndpoint,
        response=NewNoticeEndpoint,
        status=201,
        idempotent_by_key=True,
        has_version=True,
    ),
    Operation(
        name="notice-endpoints.list",
        method="GET",
        path="/v1/notice-endpoints",
        summary="List endpoints; with tokensvc:keys those of the caller's account.",
        needs=KEY_READERS,
        request=ListNoticeEndpoints,
        response=ListPage[NoticeEndpoint],
    ),
    _one("show", "GET", "Show one endpoint.", NoticeEndpointRequest, NoticeEndpoint),
    _one("update", "PATCH", "Change an endpoint.", UpdateNoticeEndpoint, NoticeEndpoint),
    _one(
        "rotate-secret",
        "POST",
        "Make a new secret. It is shown this once, and for a while both sign.",
        RotateNoticeSecret,
        NewNoticeEndpoint,
        "/rotate-secret",
    ),
    _one(
        "test",
        "POST",
        "Send a test, or once more the link that confirms a mailbox.",
        NoticeEndpointRequest,
        NoticeDelivery,
        "/test",
    ),
    _one(
        "delete",
        "DELETE",
        "Remove an endpoint. What waits for it is not sent.",
        NoticeEndpointRequest,
        DeletedNoticeEndpoint,
    ),
)
