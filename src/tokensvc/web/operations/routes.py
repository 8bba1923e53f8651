"""The path and method of each operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokensvc.issuer.operations.bindings import load_module
from tokensvc.operations.table import OPERATIONS
from tokensvc.web.operations.handler import build_handler

if TYPE_CHECKING:
    from aiohttp import web


def add_operations(app: web.Application, prefix: str, *, only_for_holders: bool = False) -> None:
    """Add every operation of the table, below `prefix`. A GET operation answers HEAD as well.

    `only_for_holders`: leave out those that are not for everybody who holds an API key.
    """
    for operation in OPERATIONS.values():
        if only_for_holders and not operation.is_for_holders:
            continue
        load_module(operation.name)  # at the start, not by the first request
        handler = build_handler(operation)
        if operation.method == "GET":
            app.router.add_get(f"{prefix}{operation.path}", handler)
        else:
            app.router.add_route(operation.method, f"{prefix}{operation.path}", handler)
