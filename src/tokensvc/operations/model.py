"""What all requests and answers of operations share: strict models, checked texts, pages."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue
from pydantic_core import PydanticCustomError

from tokensvc.core.account import parse_description, parse_name
from tokensvc.core.algorithm import Algorithm
from tokensvc.core.api_key import MAX_KEY_LIFE_SECONDS
from tokensvc.core.audience import OWN_AUDIENCES, parse_audience
from tokensvc.core.capability import CAPABILITY_PATTERN, parse_capability
from tokensvc.core.errors import InvalidInputError
from tokensvc.core.identifier import (
    ACCOUNT_ID_PATTERN,
    KEY_ID_PATTERN,
    parse_account_id,
    parse_key_id,
)
from tokensvc.core.limit import MAX_LIMIT, TIER_NAME_PATTERN, parse_tier_name

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MOST_ON_A_PAGE: Final = 1000
MOST_IDS: Final = 100  # that a query names

_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)


class Model(BaseModel):
    """A request or an answer: immutable, and a field that is not known is refused.

    `shown_once`: the name of the field that is shown once, None if there is none.
    """

    shown_once: ClassVar[str | None] = None

    # Validators are built when a model is first used, as a command uses two of them. And an error
    # must not repeat what was sent, which may be a secret.
    model_config = ConfigDict(
        extra="forbid", frozen=True, defer_build=True, hide_input_in_errors=True, strict=False
    )


class Nothing(Model):
    """A request without parameters."""


class ListPage(Model, Generic[T]):
    """Some of a list, and where to go on."""

    items: list[T] = Field(
        description="What this page of the list holds, in the order of the list."
    )
    next_cursor: str | None = Field(
        description="Send it as `cursor` to get what follows; null: nothing does."
    )


class PageRequest(Model):
    """Which part of a list is wanted."""

    limit: int = Field(
        100, ge=1, le=MOST_ON_A_PAGE, description="How many things at most are wanted."
    )
    cursor: str | None = Field(
        None,
        max_length=2000,
        description="The `next_cursor` of the page before; absent: the first page.",
    )


class NamedPageRequest(PageRequest):
    """Which part of a list of names is wanted."""

    name: str | None = Field(
        None, min_length=1, max_length=255, description="Only those with this in their name."
    )
    with_use: bool = Field(False, description="Also say where each is used, which takes longer.")


class Reason(Model):
    """Why something is done, for the audit trail."""

    reason: str = Field("", max_length=500, description="Why, for the audit trail.")


def check(parse: Callable[[str], str]) -> AfterValidator:
    """Let a field be what `parse` of core takes; its error becomes the error of the field."""

    def validate(text: str) -> str:
        try:
            return parse(text)
        except InvalidInputError as error:
            raise PydanticCustomError(
                "invalid_input", "{message}", {"message": error.message}
            ) from None

    return AfterValidator(validate)


def _shaped(pattern: str, **more: Any) -> Any:  # noqa: ANN401 - a part of an annotation
    """Show a pattern in the schema. `check` applies it, with a message that people understand."""
    return Field(json_schema_extra={"pattern": f"^{pattern}$"}, **more)


def unset(**more: Any) -> Any:  # noqa: ANN401 - the field has a type of its own
    """Return the default of a field that is left as it is unless the caller names it.

    Whether it was named stands in `model_fields_set`. JSON null is another value, and only some
    fields take it.
    """
    return Field(default=None, json_schema_extra=_drop_default, **more)


def _drop_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def _check_moment(value: object) -> object:
    """Refuse what is not a moment of RFC 3339: a number, a date without a time zone."""
    if isinstance(value, datetime) or (isinstance(value, str) and _MOMENT.fullmatch(value)):
        return value
    raise PydanticCustomError(
        "invalid_input", "it must be a moment of RFC 3339, like 2026-01-31T12:00:00Z"
    )


def _shift_to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("invalid_input", "it lies too far away") from None


def split_ids(text: str) -> list[str]:
    """Return the ids in a text of them with commas between."""
    return text.split(",")


def _parse_key_ids(text: str) -> str:
    ids = split_ids(text)
    if len(ids) > MOST_IDS:
        raise InvalidInputError(f"it must name at most {MOST_IDS} keys")
    return ",".join(parse_key_id(key_id) for key_id in ids)


def _parse_any_audience(text: str) -> str:
    return text if text in OWN_AUDIENCES else parse_audience(text)


Moment = Annotated[
    datetime,
    BeforeValidator(_check_moment),
    AfterValidator(_shift_to_utc),
    Field(description="A moment, RFC 3339, UTC."),
]
CreationMoment = Annotated[Moment, Field(description="When it was created.")]
Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        description="What people call it: 1 to 200 printable characters. Blanks around it are cut "
        "off, and others may have the same name.",
    ),
    check(parse_name),
]
Description = Annotated[
    str,
    Field(
        max_length=2000,
        description="What it is for, in words: at most 2,000 printable characters, line breaks and "
        "tabs.",
    ),
    check(parse_description),
]
AccountId = Annotated[
    str,
    _shaped(
        ACCOUNT_ID_PATTERN,
        description="The id of an account.",
        examples=["acct_0000000000000000"],
    ),
    check(parse_account_id),
]
KeyId = Annotated[
    str,
    _shaped(
        KEY_ID_PATTERN,
        description="The id of an API key; it is no secret.",
        examples=["key_0000000000000000"],
    ),
    check(parse_key_id),
]
KeyIds = Annotated[
    str,
    Field(
        max_length=MOST_IDS * 50,
        description=f"{MOST_IDS} ids of API keys at most, with commas between them.",
        examples=["key_0000000000000000,key_0000000000000001"],
    ),
    check(_parse_key_ids),
]
Capability = Annotated[
    str,
    _shaped(
        CAPABILITY_PATTERN,
        description="The name of a capability: 1 to 64 letters, digits and `. _ : / * -`.",
        examples=["orders:read"],
    ),
    check(parse_capability),
]
Audience = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        description="The name of an audience: 1 to 255 visible ASCII characters, often a URL.",
        examples=["orders-api"],
    ),
    check(_parse_any_audience),
]
TierName = Annotated[
    str,
    _shaped(
        TIER_NAME_PATTERN,
        description="The name of a tier: 1 to 40 letters, digits and `. _ -`.",
        examples=["pro"],
    ),
    check(parse_tier_name),
]
SignedBy = Annotated[
    Algorithm, Field(description="The algorithm that signs: `ES256`, `EdDSA` or `RS256`.")
]
Replayed = Annotated[
    bool,
    Field(description="Whether this is the answer to an earlier request of the same name."),
]
Deleted = Annotated[Literal["deleted"], Field(description="Always `deleted`.")]
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT, description="A number of tokens.")]
Seconds = Annotated[int, Field(ge=1, le=MAX_KEY_LIFE_SECONDS, description="A number of seconds.")]
Json = JsonValue
