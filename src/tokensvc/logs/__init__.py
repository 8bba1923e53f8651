"""Structured logs: one JSON object a line on stderr, and whatever looks like a secret is masked."""
