"""tokensvc: a long-lived API key in, a short-lived signed JWT out; verified offline, revocable within a second.

Relying parties import `tokensvc.verify`, key holders `tokensvc.client`. Everything else is the service.
"""

from __future__ import annotations

__version__ = "0.1.0"
