"""Typed keys of what the application carries."""

from __future__ import annotations

from aiohttp import web

from tokensvc.issuer.service import Service

SERVICE = web.AppKey("service", Service)
