"""Operations on the database of this machine: whoever may open it may do everything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tokensvc.cli.database import Session, actor
from tokensvc.issuer.operations.call import Backend
from tokensvc.issuer.operations.run import run_operation
from tokensvc.operations.rights import Principal
from tokensvc.operations.validation import build_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokensvc.operations.operation import Operation


class Host:
    """The database of this machine, opened at the first operation."""

    def __init__(self) -> None:
        self._session: Session | None = None

    def run(self, operation: Operation, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return what an operation answers. Raises TokensvcError."""
        values = request if operation.changes else _build_texts(request)
        model = build_model(operation, values)
        if self._session is None:
            self._session = Session(changes=operation.changes)
        elif operation.changes:
            self._session.check_changes()  # it may have been opened to look something up
        session = self._session
        backend = Backend(database=session.database, settings=session.settings)
        principal = Principal.of_host(actor())
        result = session.run(run_operation(backend, operation, principal, model))
        answer: dict[str, Any] = json.loads(result.response.model_dump_json())
        return answer

    def close(self) -> None:
        """Close the database."""
        if self._session is not None:
            self._session.close()


def _build_texts(value: Any) -> Any:
    """Return a request in which every value is a text, as in the query of an HTTP request."""
    if isinstance(value, dict):
        return {name: _build_texts(member) for name, member in value.items()}
    return str(value)
