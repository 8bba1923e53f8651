"""What is wrong with a service, and what mends it."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from tokensvc.operations.model import Model, Moment, Nothing
from tokensvc.operations.operation import READERS, Operation


class Finding(Model):
    """What one check has found."""

    check: str = Field(description="The name of the check.")
    state: Literal["ok", "note", "fault", "unknown"] = Field(
        description="`ok`. `note`: nothing is broken, and there is something to know. `fault`: it "
        "must be mended. `unknown`: it could not be looked at."
    )
    what: str = Field(description="What is the case, in a sentence.")
    why: str = Field(description="Why it matters; empty if all is well.")
    way_out: str = Field(description="The command or setting that mends it; empty if all is well.")


class Doctor(Model):
    """All findings, as the process that answers sees its machine and the database."""

    issuer: str = Field(description="The URL of the service, as it stands in tokens.")
    at: Moment | None = Field(description="Postgres's clock; null if it did not tell.")
    published: list[str] | None = Field(
        description="The `kid` of each signing key that the JWKS must hold; null if the database "
        "did not tell."
    )
    findings: list[Finding] = Field(description="What each check has found.")


OPERATIONS: Final = (
    Operation(
        name="doctor.show",
        method="GET",
        path="/v1/doctor",
        summary="Look for faults of the set-up, and say what mends them.",
        needs=READERS,
        request=Nothing,
        response=Doctor,
    ),
)
