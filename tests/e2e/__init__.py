"""The service as its users meet it: real processes, a real Postgres, unchanged libraries."""

from __future__ import annotations
