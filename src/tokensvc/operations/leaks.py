"""Reports of leaked API keys, and what is known of a leak."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field, model_validator

from tokensvc.core.leak import MOST_REPORTED
from tokensvc.operations.model import KeyId, Model, Moment
from tokensvc.operations.operation import ANYBODY, KEY_READERS, Operation
from tokensvc.operations.usage import LastUse


class Leak(Model):
    """A key that was found."""

    key: str = Field(
        max_length=2000, repr=False, description="The whole API key; its digest is not accepted."
    )
    url: str = Field(
        "", max_length=10_000, description="Where it was found; empty: that is not told."
    )
    source: str = Field(
        "",
        max_length=1000,
        description="What kind of place that is, like `commit` or `log`; empty: that is not told.",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_partner(cls, value: Any) -> Any:  # noqa: ANN401 - whatever was sent
        """Take what GitHub's secret scanning sends as well: `token`, `type`, `url`, `source`."""
        if isinstance(value, dict) and "token" in value and "key" not in value:
            rest = {name: said for name, said in value.items() if name not in {"token", "type"}}
            return rest | {"key": value["token"]}
        return value


class ReportLeaks(Model):
    """What was found where."""

    leaks: list[Leak] = Field(
        min_length=1,
        max_length=MOST_REPORTED,
        description=f"The keys that were found, {MOST_REPORTED:,} at most. The list may also be "
        "the whole body.",
    )


class LeakReceipt(Model):
    """The answer to a report. It does not tell which of the keys are keys of this service."""

    received: int = Field(description="How many finds were reported.")
    malformed: int = Field(description="How many of them are no API keys by their form.")


class LeakPlace(Model):
    """Where a key was found, in the words of who reported it."""

    url: str = Field(description="Empty if it was not told.")
    source: str = Field(description="What kind of place that is; empty if it was not told.")
    reported_at: Moment = Field(description="When this was reported.")


class KeyLeaks(Model):
    """Where a key was found, and how it was used since the first report.

    Uses are counted by the hour, so that the whole hour of the report is in the numbers.
    """

    id: KeyId
    leaked_at: Moment | None = Field(description="When it was first reported; null: never.")
    places: list[LeakPlace] = Field(
        description="Where it was found: the first 50 places, oldest first."
    )
    issued_since: int = Field(
        description="How many tokens it got since the hour of the first report."
    )
    refused_since: dict[str, int] = Field(
        description="How many exchanges were refused since, by reason."
    )
    last_used: LastUse | None = Field(description="Its last use; null: it was never used.")


class LeaksRequest(Model):
    """Which key."""

    key: KeyId


OPERATIONS: Final = (
    Operation(
        name="leaks.report",
        method="POST",
        path="/v1/leaks",
        summary="Report API keys that were found where they should not be.",
        needs=ANYBODY,
        request=ReportLeaks,
        response=LeakReceipt,
        status=202,
        is_open=True,
        is_bulk=True,
        takes_list="leaks",
    ),
    Operation(
        name="leaks.list",
        method="GET",
        path="/v1/leaks",
        summary="Show where a key was found, and how it was used since.",
        needs=KEY_READERS,
        request=LeaksRequest,
        response=KeyLeaks,
    ),
)
