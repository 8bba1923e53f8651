"""`python -m tokensvc`."""

from __future__ import annotations

from tokensvc.cli import main

main()
