"""How the service is, for those who run it."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from tokensvc.operations.model import Model, Moment, Nothing
from tokensvc.operations.operation import READERS, Operation


class DatabaseHealth(Model):
    """Postgres, as one statement has just found it."""

    version: str = Field(description="What Postgres says of itself.")
    answer_seconds: float = Field(
        description="How many seconds passed from the question to the answer."
    )
    connections: int = Field(description="How many are open to this database, of all programs.")
    connections_allowed: int = Field(description="What `max_connections` of Postgres says.")
    size_bytes: int = Field(description="How large this database is on its disk.")
    started_at: Moment = Field(description="When Postgres was started.")


class SchemaHealth(Model):
    """The migrations. `applied` and `shipped` are the newest of each, by number."""

    applied: str | None = Field(
        description="The newest migration of the database; null: it has none."
    )
    shipped: str = Field(description="The newest migration of this program.")
    missing: list[str] = Field(
        description="The files of the migrations that this program has and the database lacks."
    )


class ProcessHealth(Model):
    """The process that answers. It knows nothing of the other processes of the service."""

    checks: dict[str, bool] = Field(
        description="What must hold for requests to be sent to it, and whether it does: `/readyz`."
    )
    warnings: list[str] = Field(
        description="What an operator must look at although requests may be sent to it."
    )
    statements: int = Field(
        description="How many statements of the ledger Postgres has answered since the process "
        "began."
    )
    judged: int = Field(description="How many requests these statements have judged.")
    statement_seconds: float | None = Field(
        description="How many seconds a statement has taken on average; null: there was none."
    )


class Setting(Model):
    """A setting. What is secret is never shown."""

    name: str = Field(description="The name of its variable, like `TOKENSVC_TOKEN_TTL`.")
    value: str | None = Field(description="Its value as text; null: it is not set, or secret.")
    is_secret: bool = Field(description="Whether the value is secret, and never shown.")
    is_set: bool = Field(description="Whether it has a value that is not empty.")
    is_default: bool = Field(description="Whether the value is the default.")
    source: str = Field(
        description="Where the value comes from: `environment`, the path of a file, or `default`."
    )


class Health(Model):
    """How the service is."""

    version: str = Field(description="The version of this program.")
    at: Moment = Field(description="Postgres's clock.")
    clock_difference_seconds: float = Field(
        description="How many seconds Postgres's clock is ahead of the clock here, so far as it is "
        "sure: the way to Postgres and back takes `database.answer_seconds`."
    )
    database: DatabaseHealth = Field(description="How Postgres is.")
    migrations: SchemaHealth = Field(description="Which migrations the database has.")
    process: ProcessHealth | None = Field(
        description="The process that answers; null: a command on the host answers, and no service."
    )
    settings: list[Setting] = Field(description="All settings of the process, by name.")


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
