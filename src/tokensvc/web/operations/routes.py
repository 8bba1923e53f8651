"""The path and method of each operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.issuer.operations.bindings import load_module
from tokensvc.web.operations.handler import build_handler

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import web

    from tokensvc.operations.operation import Operation


def add_operations(app: web.Application, prefix: str, operations: Iterable[Operation]) -> None:
    """Add these operations below `prefix`. A GET operation answers HEAD as well."""
    for operation in operations:
        load_module(operation.name)  # at the start, not by the first request
        handler = build_handler(operation)
        if operation.method == "GET":
            app.router.add_get(f"{prefix}{operation.path}", handler)
        else:
            app.router.add_route(operation.method, f"{prefix}{operation.path}", handler)
