"""How the service is, for those who run it."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from tokensvc.operations.model import Model, Moment, Nothing
from tokensvc.operations.operation import READERS, Operation


class DatabaseHealth(Model):
    """Postgres, as one statement has just found it."""

    version: str = Field(description="What Postgres says of itself.")
    answer_seconds: float = Field(description="From the question to the answer.")
    connections: int = Field(description="How many are open to this database, of all programs.")
    connections_allowed: int
    size_bytes: int
    started_at: Moment


class SchemaHealth(Model):
    """The migrations. `applied` and `shipped` are the newest of each, by number."""

    applied: str | None
    shipped: str
    missing: list[str] = Field(description="What this program has and the database lacks.")


class ProcessHealth(Model):
    """The process that answers. It knows nothing of the other processes of the service."""

    checks: dict[str, bool] = Field(description="What `/readyz` tells.")
    warnings: list[str]
    statements: int = Field(description="Of the ledger, since the process has begun.")
    judged: int = Field(description="How many requests these statements have judged.")
    statement_seconds: float | None = Field(description="What one has taken on average.")


class Setting(Model):
    """A setting. What is secret is never shown."""

    name: str
    value: str | None = Field(description="Null if it is not set, or secret.")
    is_secret: bool
    is_set: bool
    is_default: bool
    source: str = Field(description='"environment", the path of a file, or "default".')


class Health(Model):
    """How the service is."""

    version: str
    at: Moment = Field(description="Postgres's clock.")
    clock_difference_seconds: float = Field(
        description="How far Postgres's clock is ahead of the clock here, so far as it is "
        "sure: the way to Postgres and back takes `database.answer_seconds`."
    )
    database: DatabaseHealth
    migrations: SchemaHealth
    process: ProcessHealth | None = Field(description="Null if no service was asked.")
    settings: list[Setting]


OPERATIONS: Final = (
    Operation(
        name="health.show",
        method="GET",
        path="/v1/health",
        summary="Show how Postgres, its schema, the clocks and the ledger are, and the settings.",
        needs=READERS,
        request=Nothing,
        response=Health,
    ),
)
