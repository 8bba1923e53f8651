"""Typed keys of what application and request carry."""

from __future__ import annotations

from aiohttp import web

from tokensvc.issuer.service import Service

SERVICE = web.AppKey("service", Service)
FACTS: web.RequestKey[dict[str, object]] = web.RequestKey("facts", dict)  # for the log line
CHALLENGE = web.RequestKey("challenge", str)  # the authentication scheme that was tried
