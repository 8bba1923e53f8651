"""The path and method of each operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.issuer.operations.bindings import load_module
from tokensvc.operations.table import OPERATIONS
from tokensvc.web.operations.handler import build_handler

if TYPE_CHECKING:
    from aiohttp import web

    from tokensvc.operations.operation import Operation


def add_operations(app: web.Application, prefix: str) -> None:
    """Add every operation that wants a credential, below `prefix`."""
    for operation in OPERATIONS.values():
        if not operation.is_open:
            _add(app, prefix, operation)


def add_open_operations(app: web.Application, prefix: str) -> None:
    """Add what is open to everybody, also where the other operations have a port of their own."""
    for operation in OPERATIONS.values():
        if operation.is_open:
            _add(app, prefix, operation)


def _add(app: web.Application, prefix: str, operation: Operation) -> None:
    """Add an operation. A GET operation answers HEAD as well."""
    load_module(operation.name)  # at the start, not by the first request
    handler = build_handler(operation)
    if operation.method == "GET":
        app.router.add_get(f"{prefix}{operation.path}", handler)
    else:
        app.router.add_route(operation.method, f"{prefix}{operation.path}", handler)
