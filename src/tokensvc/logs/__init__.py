"""Structured logs: one JSON object a line on stderr, with everything like a secret masked."""
