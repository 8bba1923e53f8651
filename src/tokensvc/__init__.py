"""A long-lived API key in, a short-lived signed JWT out, verified offline, revocable in a second.

Relying parties import `tokensvc.verify`, key holders `tokensvc.client`. The rest is the service.
"""

from __future__ import annotations

__version__ = "0.1.0"
