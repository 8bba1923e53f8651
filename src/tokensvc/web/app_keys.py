"""What the application and each request carry, under typed keys."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from tokensvc.issuer.service import Service
from tokensvc.web.in_flight import InFlight
from tokensvc.web.late_refusals import LateRefusals
from tokensvc.web.operations.strangers import Strangers
from tokensvc.web.polls import Polls
from tokensvc.web.turns import Turns

SERVICE: Final = web.AppKey("service", Service)
IN_FLIGHT: Final = web.AppKey("in_flight", InFlight)
POLLS: Final = web.AppKey("polls", Polls)
REQUEST_ID: Final = web.RequestKey("request_id", str)
REFUSALS: Final = web.AppKey("refusals", LateRefusals)
STRANGERS: Final = web.AppKey("strangers", Strangers)
TURNS: Final = web.AppKey("turns", Turns)
WOKEN: Final = web.AppKey("woken", Turns)  # the polls that a revocation has woken
# For the log line of the request.
FACTS: Final[web.RequestKey[dict[str, object]]] = web.RequestKey("facts", dict)
# The id of the API key that an authenticated request belongs to.
CALLER: Final = web.RequestKey("caller", str)
# The scheme to challenge with, if the Authorization header does not say it.
CHALLENGE: Final = web.RequestKey("challenge", str)
