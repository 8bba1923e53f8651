"""`python -m bench`: all measurements, one after another."""

from __future__ import annotations

from bench import revocation

if __name__ == "__main__":
    revocation.main()
